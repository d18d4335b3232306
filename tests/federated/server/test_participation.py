"""Clients that never took part are named, each with its reason."""

from __future__ import annotations

from datetime import UTC, datetime

from federated.server.participation import absences
from federated.server.roster import Roster
from shared.data.schema import Schema
from shared.tracking.rows import RoundRow
from tests.federated.federation_kit import ClientInfo, Federate, MakeConfig, drops
from tests.profiles import labelled

NOW = datetime.now(UTC)


def roster(count: int) -> Roster:
    infos = {
        client: ClientInfo(client, count, f"site {client}", Schema(), 10, labelled(10), 5)
        for client in range(count)
    }
    return Roster(clients=infos, nodes={1000 + client: client for client in infos})


def round_row(number: int, sampled: list[int], replied: list[int], failed: dict[int, str]) -> RoundRow:
    return RoundRow(1, number, NOW, NOW, sampled, replied, failed, 0, 0, 1.0)


def test_each_reason_is_told_apart(make_config: MakeConfig) -> None:
    cfg = make_config("federation.num_clients=4", "strategy.fraction_train=1.0")
    rounds = [
        round_row(1, [0, 1], [0], {1: "train: no reply in time"}),
        round_row(2, [0, 1, 3], [0, 3], {1: "train: NaN in fc.weight"}),
    ]
    first, second = absences(roster(4), rounds, cfg=cfg)
    assert first.startswith("site 1 never took part in training: dropped in every round that sampled it")
    assert first.endswith("the last time: train: NaN in fc.weight")
    assert second == "site 2 never took part in training: not connected in any round that sampled it"
    assert absences(roster(4), [round_row(1, [0, 1, 2, 3], [0, 1, 2, 3], {})], cfg=cfg) == []


def test_clients_that_are_never_sampled_are_counted_beyond_ten(make_config: MakeConfig) -> None:
    cfg = make_config("federation.num_clients=30", "strategy.fraction_train=0.1", "strategy.min_train=1")
    told = max(absences(roster(30), [round_row(1, [0], [0], {})] * 2, cfg=cfg), key=len)
    assert "never sampled in 2 rounds (strategy.fraction_train=0.1)" in told
    assert " and " in told.partition(" never")[0]


def test_a_run_warns_of_them(federate: Federate) -> None:
    run = federate("federation.num_rounds=1", client_app=drops(1, client_id=2, how="not-trained"))
    (told,) = [text for text in run.row.summary["warnings"] if "never took part" in text]
    assert told.startswith("client-2 never took part in training: dropped")
    assert f"warning: {told}" in run.lines
