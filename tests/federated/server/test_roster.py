"""Before the first round: the right number of nodes, each another partition, all with the same classes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from federated.client.app import app
from federated.messages.records import error_content
from federated.server import roster
from federated.server.roster import Roster, connect
from shared.data.schema import Schema
from shared.runtime.errors import DataError, FederationError, FedtwinError, PartitionError
from shared.runtime.home import Home
from shared.tasks.image_classification.spec import ClassificationSpec
from shared.tracking.rows import ClientRow
from simulations.engine.in_process import InProcessGrid
from tests.federated.federation_kit import MakeConfig, toy_app
from tests.profiles import labelled

TWO = Schema(classes=("0", "1"))


@pytest.fixture
def meet(make_config: MakeConfig) -> Callable[..., Roster]:
    def run(
        client_app: ClientApp,
        *,
        nodes: int = 3,
        timeout_s: float = 20,
        lines: list[str] | None = None,
        most: float = 1.0,
        **configs: Any,
    ) -> Roster:
        cfg = make_config("federation.max_examples=1000", f"federation.max_share={most}")
        cfg = cfg.replace("federation", connect_timeout_s=timeout_s)
        grid = InProcessGrid(client_app, num_clients=nodes, **configs)
        say = (lambda line: None) if lines is None else lines.append
        return connect(grid, cfg, snapshot="{}", schema=TWO, spec=ClassificationSpec(TWO), say=say)

    return run


def test_clients_are_sorted_and_described(meet: Callable[..., Roster]) -> None:
    backwards = {index: {"partition-id": 2 - index} for index in range(3)}
    roster = meet(toy_app(), node_configs=backwards)
    assert list(roster.clients) == [0, 1, 2]
    assert roster.nodes == {1000: 2, 1001: 1, 1002: 0}
    assert roster.node_of(0) == 1002
    assert [info.num_examples for info in roster.clients.values()] == [10, 20, 30]


def test_a_client_that_claims_too_large_a_share_is_refused_or_named(meet: Callable[..., Roster]) -> None:
    claiming = (10, 20, 900)
    with pytest.raises(
        FederationError, match=r"it has 900 of 930 training rows \(96.8%\), more than federation.max"
    ):
        meet(toy_app(claiming), most=0.9)
    assert meet(toy_app(claiming), most=0.97).clients[2].num_examples == 900
    lines: list[str] = []
    meet(toy_app(claiming), lines=lines)
    assert not any("900" in line for line in lines)  # shares that we have made ourselves

    def as_site(values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "num_partitions": 0}

    meet(toy_app(claiming, info=as_site), lines=lines)
    assert [line for line in lines if "says that it has 900 of 930 training rows (96.8%)" in line]
    lines.clear()
    meet(toy_app((10, 20, 25), info=as_site), lines=lines)
    assert not any("says that it has" in line for line in lines)


@pytest.mark.parametrize("nodes", [2, 4])
def test_the_wrong_number_of_nodes(nodes: int, meet: Callable[..., Roster]) -> None:
    lines: list[str] = []
    with pytest.raises(FederationError) as caught:
        meet(toy_app(range(10, 90, 10)), nodes=nodes, lines=lines, timeout_s=0.3)
    assert f"expected 3 clients (federation.num_clients), {nodes} came" in str(caught.value)
    assert "--federation-config 'num-supernodes=3'" in str(caught.value)
    assert lines == (["2 of 3 clients are there"] if nodes == 2 else [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client_id": 0}, "is partition 0, and so is node 1000"),
        ({"client_id": 3}, "it is partition 3 of 3, expected one of 3"),
        ({"num_partitions": 4}, "it is partition 1 of 4, expected one of 3"),
        ({"schema": Schema(classes=("1", "0"))}, "its classes are ['1', '0'], the server's ['0', '1']"),
        ({"num_examples": 0, "profile": labelled(0, 0)}, "it has 0 training rows"),
        ({"num_examples": 1001, "profile": labelled(1001, 0)}, "expected 1 to 1000 (federation.max_examples)"),
        ({"profile": labelled(1, 2)}, "do not add up to 20 examples"),
        ({"profile": labelled(20)}, "do not add up to 20 examples of the classes ['0', '1']"),
    ],
)
def test_a_client_that_does_not_fit(changes: dict[str, Any], reason: str, meet: Callable[..., Roster]) -> None:
    def info(values: dict[str, Any]) -> dict[str, Any]:
        return {**values, **changes} if values["client_id"] == 1 else values

    with pytest.raises(FederationError, match=re.escape(reason)) as caught:
        meet(toy_app(info=info))
    assert "site 1, node 1001: " in str(caught.value)


def failing(error: Callable[[int], Exception]) -> ClientApp:
    broken = ClientApp()

    @broken.query()
    def query(message: Message, context: Context) -> Message:
        found = error(context.node_id)
        if isinstance(found, FedtwinError):
            return Message(error_content(found), reply_to=message)
        raise found

    return broken


def test_what_all_clients_say_is_said_once_in_its_own_kind(meet: Callable[..., Roster]) -> None:
    text = "too few rows:\n  - client 2 gets 3\n  - client 0 gets 4"
    with pytest.raises(PartitionError) as caught:
        meet(failing(lambda node: PartitionError(text)))
    assert str(caught.value) == f"the clients are not ready:\n  - every node: {text}"


@pytest.mark.parametrize("broken", [0, 1, 20])
def test_a_simulation_asks_a_few_first_and_then_all_others(
    broken: int, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster.os, "cpu_count", lambda: 9)
    at_once: list[int] = []

    class Counting(InProcessGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
            at_once.append(len(list(message_ids)))
            return super().pull_messages(message_ids)

    def info(values: dict[str, Any]) -> dict[str, Any]:
        return (
            {**values, "num_examples": 0, "profile": labelled(0, 0)} if values["client_id"] < broken else values
        )

    cfg = make_config("federation.engine=flower", "federation.num_clients=20", "federation.max_examples=1000")
    grid = Counting(toy_app(range(10, 30), info=info), num_clients=20)
    if broken:
        who = {1: "node 1000: ", 20: "each of the 9 nodes that were asked: "}[broken]
        with pytest.raises(FederationError, match=f"{who}.*it has 0 training rows"):
            connect(grid, cfg, snapshot="{}", schema=TWO, spec=ClassificationSpec(TWO), say=lambda line: None)
    else:
        found = connect(
            grid, cfg, snapshot="{}", schema=TWO, spec=ClassificationSpec(TWO), say=lambda line: None
        )
        assert list(found.clients) == list(range(20))
    assert (at_once[0], max(at_once)) == (9, 9 if broken == 20 else 11)


def test_different_errors_are_told_apart(meet: Callable[..., Roster]) -> None:
    with pytest.raises(FederationError) as caught:
        meet(failing(lambda node: [PartitionError("a"), DataError("b"), RuntimeError("c")][node - 1000]))
    text = str(caught.value)
    assert "node 1000: PartitionError: a" in text
    assert "node 1001: DataError: b" in text
    assert "node 1002: error 2: RuntimeError: c" in text


def test_nodes_that_do_not_answer_are_named(
    meet: Callable[..., Roster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InProcessGrid, "pull_messages", lambda self, message_ids: [])
    with pytest.raises(FederationError, match=r"every node: no reply within 0\.3 s"):
        meet(toy_app(), timeout_s=0.3)


def test_a_node_that_is_only_just_gone_is_waited_for(make_config: MakeConfig) -> None:
    class Dying(InProcessGrid):
        """Node 1001 is dead, which Flower says only now; then it is away, and comes back."""

        away: int | None = None

        def _run(self, message: Message) -> Message:
            if message.metadata.dst_node_id != 1001 or self.away is not None:
                return super()._run(message)
            self.away = 3
            return Message(Error(code=5, reason="Node Unavailable"), reply_to=message)

        def get_node_ids(self) -> list[int]:
            nodes = super().get_node_ids()
            if self.away:
                self.away -= 1
                nodes.remove(1001)
            return nodes

    lines: list[str] = []
    grid = Dying(toy_app(), num_clients=3)
    roster = connect(
        grid, make_config(), snapshot="{}", schema=TWO, spec=ClassificationSpec(TWO), say=lines.append
    )
    assert list(roster.clients) == [0, 1, 2]
    assert lines == ["1 of 3 clients went away; waiting until they are back", "2 of 3 clients are there"]


def test_garbage_is_not_a_description(meet: Callable[..., Roster]) -> None:
    broken = ClientApp()

    @broken.query()
    def query(message: Message, context: Context) -> Message:
        return Message(RecordDict(), reply_to=message)

    with pytest.raises(FederationError, match="every node: rejected: expected a ConfigRecord 'client'"):
        meet(broken)


def test_partition_errors_of_real_clients(make_config: MakeConfig, home: Home) -> None:
    cfg = make_config("partition.min_examples=100")
    grid = InProcessGrid(app, num_clients=3)
    with pytest.raises(PartitionError) as caught:
        connect(
            grid,
            cfg,
            snapshot=json.dumps(cfg.snapshot()),
            schema=TWO,
            spec=ClassificationSpec(TWO),
            say=lambda line: None,
        )
    text = str(caught.value)
    assert text.count("need 300 training rows, got 120") == 1
    assert "Traceback" not in text


def test_sites_with_their_own_data_only_need_numbers_of_their_own(meet: Callable[..., Roster]) -> None:
    numbers = {0: 4, 1: 0, 2: 17}
    roster = meet(toy_app(info=lambda v: {**v, "num_partitions": 0, "client_id": numbers[v["client_id"]]}))
    assert list(roster.clients) == [0, 4, 17]
    with pytest.raises(FederationError, match="is partition 4, and so is node"):
        meet(toy_app(info=lambda values: {**values, "num_partitions": 0, "client_id": 4}))


def test_clients_of_a_resumed_run_have_the_rows_that_they_began_with(meet: Callable[..., Roster]) -> None:
    before = [
        ClientRow(1, info.client_id, "1", info.name, info.num_examples, json.loads(info.profile.to_json()))
        for info in meet(toy_app()).clients.values()
    ]
    meet(toy_app()).check_same(before)
    with pytest.raises(FederationError, match=r"site 1: 20 training rows then, 21 now") as caught:
        meet(toy_app((10, 21, 30))).check_same(before)
    assert "site 0" not in str(caught.value)

    def other(values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "profile": labelled(0, values["num_examples"])}

    with pytest.raises(FederationError, match=r"site 2: 30 training rows, but they are others"):
        meet(toy_app(info=other)).check_same(before)
    gone = ClientRow(1, 7, "1", "site 7", 5, {})
    with pytest.raises(FederationError, match=r"site 7 \(client 7\) is not there"):
        meet(toy_app()).check_same([gone])
