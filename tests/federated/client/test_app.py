"""The ClientApp alone, and clients whose data is special: what they say of themselves, and what they send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Message, MessageType, RecordDict

from federated.client.app import app
from federated.messages.parse import read_error, read_info, read_points
from federated.messages.records import (
    ARRAYS,
    CONFIG,
    METRICS,
    POINTS,
    STATISTICS,
    TrainOrder,
    arrays_of,
    state_of,
)
from federated.messages.wire import ArraySpec, WireSpec
from shared.config.config import Config
from shared.model.backbones import build_network
from shared.runtime.components import MAY_RUN
from shared.runtime.errors import DataError, FederationError, PartitionError, QuorumError
from shared.runtime.home import Home
from simulations.engine.in_process import InProcessGrid
from tests.federated.declaring_algorithm import Declares
from tests.federated.federation_kit import Federate, MakeConfig
from tests.profiles import labelled


def ask(
    cfg: Config, kind: str, *, clients: int = 3, config: dict[str, Any] | None = None, **order: Any
) -> RecordDict:
    """What client 0 replies."""
    grid = InProcessGrid(app, num_clients=clients, node_configs={0: config or {}})
    content = RecordDict({CONFIG: TrainOrder(snapshot=json.dumps(cfg.snapshot()), **order).to_record()})
    if kind != MessageType.QUERY:
        content[ARRAYS] = arrays_of(build_network(cfg, num_outputs=2))
    (reply,) = grid.send_and_receive([Message(content, 1000, kind)])
    return reply.content


def info_of(content: RecordDict) -> Any:
    return read_info(Message(content, 1, MessageType.QUERY))


def test_a_client_describes_its_share(make_config: MakeConfig, home: Home) -> None:
    info = info_of(ask(make_config(), MessageType.QUERY, config={"site": "Ward 7"}))
    assert (info.client_id, info.num_partitions, info.name, info.schema.classes) == (0, 3, "Ward 7", ("0", "1"))
    assert (info.num_examples, info.profile, info.num_val) == (40, labelled(20, 20), 20)


def test_training_sends_arrays_and_the_points_of_each_epoch(make_config: MakeConfig, home: Home) -> None:
    cfg = make_config("federation.local_epochs=2")
    content = ask(cfg, MessageType.TRAIN, round=3)
    assert sorted(content) == [ARRAYS, METRICS, POINTS]
    assert content.metric_records[METRICS] == {"num-examples": 40}
    points = read_points(content, stage="train", round=3, client_id=0, epochs=2)
    assert {point.epoch for point in points} == {1, 2}
    assert {point.num_examples for point in points} == {40}
    start = build_network(cfg, num_outputs=2).state_dict()
    trained = state_of(content.array_records[ARRAYS])
    assert list(trained) == list(start)
    assert all(trained[key].shape == start[key].shape for key in start)
    assert not torch.equal(trained["conv1.weight"], start["conv1.weight"])


def test_training_depends_on_the_round_and_nothing_before_it(make_config: MakeConfig, home: Home) -> None:
    cfg = make_config("model.dropout=0.5")
    replies = [ask(cfg, MessageType.TRAIN, round=number).array_records[ARRAYS] for number in (1, 2, 1)]
    assert replies[0] == replies[2] != replies[1]


def test_the_servers_factor_scales_the_learning_rate(make_config: MakeConfig, home: Home) -> None:
    content = ask(make_config("trainer.optimizer.lr=0.5"), MessageType.TRAIN, round=1, lr_scale=0.25)
    rates = [
        p.value for p in read_points(content, stage="train", round=1, client_id=0, epochs=2) if p.name == "lr"
    ]
    assert rates == [0.125]


def test_a_client_keeps_to_its_threads(make_config: MakeConfig, home: Home) -> None:
    before = torch.get_num_threads()
    try:
        ask(make_config("federation.client_cpus=3"), MessageType.TRAIN)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_16_bits_are_sent_as_32(make_config: MakeConfig, home: Home) -> None:
    content = ask(make_config("trainer.precision=bf16-true", "model.norm=batch"), MessageType.TRAIN, round=1)
    types = {key: array.dtype for key, array in content.array_records[ARRAYS].items()}
    assert types.pop("norm1.num_batches_tracked") == types.pop("norm2.num_batches_tracked") == "int64"
    assert set(types.values()) == {"float32"}


def test_evaluation_sends_no_arrays(make_config: MakeConfig, home: Home) -> None:
    content = ask(make_config(), MessageType.EVALUATE, round=1)
    assert sorted(content) == [METRICS, POINTS, STATISTICS]
    assert content.metric_records[METRICS] == {"num-examples": 20}
    names = {point.name for point in read_points(content, stage="val", round=1, client_id=0, epochs=2)}
    assert {"loss", "accuracy", "recall", "auroc"} <= names


@pytest.mark.parametrize(
    "config", [{"partition-id": 3}, {"partition-id": -1}, {"partition-id": "x"}, {"num-partitions": 0}]
)
def test_a_node_without_a_place_is_told_how_to_start(
    config: dict[str, Any], make_config: MakeConfig, home: Home
) -> None:
    error = read_error(ask(make_config(), MessageType.QUERY, config=config))
    assert isinstance(error, FederationError)
    assert "--node-config 'partition-id=0 num-partitions=2'" in str(error)


def test_errors_are_sent_by_name_and_in_full(make_config: MakeConfig, home: Home) -> None:
    error = read_error(ask(make_config("partition.min_examples=100"), MessageType.QUERY))
    assert isinstance(error, PartitionError)
    assert "3 clients with partition.min_examples=100 need 300 training rows, got 120" in str(error)


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """Of a site: 24 training rows, nearly all of class 1."""
    rng = np.random.default_rng(1)
    arrays = {}
    for side, count in (("train", 24), ("val", 6), ("test", 2)):
        arrays[f"{side}_images"] = rng.integers(0, 256, size=(count, 8, 8), dtype=np.uint8)
        arrays[f"{side}_labels"] = np.minimum(np.arange(count), 1)[:, None]
    np.savez(tmp_path / "own.npz", **arrays)
    return tmp_path / "own.npz"


def test_a_site_with_its_own_data_uses_all_of_it(make_config: MakeConfig, home: Home, own_data: Path) -> None:
    info = info_of(ask(make_config(), MessageType.QUERY, config={"data-path": str(own_data)}))
    assert (info.num_examples, info.profile, info.num_val) == (24, labelled(1, 23), 6)


def test_what_a_site_read_is_said_in_its_own_log_alone(
    make_config: MakeConfig, home: Home, own_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = ask(make_config(), MessageType.QUERY, config={"data-path": str(own_data)})
    assert str(own_data) in capsys.readouterr().err
    assert info_of(reply).num_examples == 24
    assert str(own_data) not in "".join(map(str, reply.config_records.values()))


def test_what_is_wrong_with_a_sites_data_stays_there(
    make_config: MakeConfig, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "Mrs Miller.npz")
    error = read_error(ask(make_config(), MessageType.QUERY, config={"data-path": path}))
    assert isinstance(error, DataError)
    assert "Miller" not in str(error)
    assert "the log of its node says why" in str(error)
    assert "Mrs Miller.npz" in capsys.readouterr().err


def test_a_site_with_other_classes_is_rejected(
    make_config: MakeConfig, federate: Federate, two_classes: Path, tmp_path: Path
) -> None:
    arrays = dict(np.load(two_classes))
    arrays["train_labels"][:20] = 2
    np.savez(tmp_path / "three.npz", **arrays)
    cfg = make_config()
    grid = InProcessGrid(app, num_clients=3, node_configs={1: {"data-path": str(tmp_path / "three.npz")}})
    with pytest.raises(
        FederationError, match=r"node 1001: .*its classes are \['0', '1', '2'\], the server's \['0', '1'\]"
    ):
        federate(cfg=cfg, grid=grid)


def test_clients_of_one_class_leave_out_what_is_undefined(federate: Federate) -> None:
    run = federate(
        "federation.num_clients=2",
        "partition=pathological",
        "partition.classes_per_client=1",
        "federation.num_rounds=1",
    )
    assert run.row.status == "completed"
    rows = run.store.metrics.of_run(run.id)
    for stage in ("train", "val"):
        names = {row.name for row in rows if row.stage == stage and row.client_id is not None}
        assert {"loss", "accuracy"} <= names
        assert "auroc" not in names
    # The federation's own are of the rows of both.
    (auroc,) = (row for row in rows if row.stage == "val" and row.name == "auroc")
    assert (auroc.client_id, auroc.num_examples) == (None, 60)
    assert "auroc" in run.row.summary["test"]


def test_a_client_that_diverges_says_so(federate: Federate) -> None:
    with pytest.raises(QuorumError, match=r"client-2: DivergedError: train/loss is (nan|inf) in epoch 1"):
        federate("trainer.optimizer.lr=1e30", "data.batch_size=4")


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (WireSpec(metrics=("drift",)), r"arrays ['change'], but its wire declares []"),
        (WireSpec(up=(ArraySpec("change"),)), "metrics ['drift'], but its wire declares []"),
        (
            WireSpec(up=(ArraySpec("change"),), metrics=("drift", "x")),
            "['drift'], but its wire declares ['drift', 'x']",
        ),
    ],
)
def test_a_client_half_that_returns_something_else_than_is_declared_is_named(
    wire: WireSpec, reason: str, make_config: MakeConfig, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MAY_RUN, "tests")
    monkeypatch.setattr(Declares, "wire", wire)
    cfg = make_config("strategy._target_=tests.federated.declaring_algorithm.Declares", "model.norm=batch")
    error = read_error(ask(cfg, MessageType.TRAIN, round=1, run_key="0" * 32))
    assert isinstance(error, FederationError)
    assert reason in str(error)


def test_fedprox_holds_clients_near_the_model_they_received(make_config: MakeConfig, home: Home) -> None:
    def distance(mu: float) -> float:
        settings = ["federation.local_epochs=3", "data.batch_size=8", "strategy=fedprox"]
        cfg = make_config(*settings, f"strategy.proximal_mu={mu}")
        start = build_network(cfg, num_outputs=2).state_dict()
        trained = state_of(ask(cfg, MessageType.TRAIN, round=1).array_records[ARRAYS])
        return float(sum(((trained[key] - start[key]) ** 2).sum() for key in start)) ** 0.5

    free, held, tight = distance(0.0), distance(1.0), distance(10.0)
    assert 0 < tight < held < free
