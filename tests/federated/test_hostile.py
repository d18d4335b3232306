"""Clients that send anything at all: each is named and dropped, and the average is that of the good ones."""

from __future__ import annotations

import math
import re
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from federated.client.app import app
from federated.messages.delivery import Delivery
from federated.messages.grid import RoundGrid
from federated.messages.parse import printable
from federated.messages.records import (
    ARRAYS,
    METRICS,
    NUM_EXAMPLES,
    POINTS,
    STATISTICS,
    ClientInfo,
    arrays_of,
    reply_content,
)
from federated.messages.validate import Contract
from federated.messages.wire import ModelLayout
from federated.server.checkpoint import Checkpoints, Progress
from federated.server.metric_aggregation import MetricAggregation
from federated.server.reply_intake import ReplyIntake
from federated.server.roster import Roster
from federated.server.round_recorder import RoundRecorder
from federated.server.rounds import Rounds
from federated.server.server_evaluation import ServerEvaluation
from federated.strategy.server_half import AveragingServer, ServerContext
from shared.data.schema import Schema
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import Outputs
from shared.metrics.point import MetricPoint
from shared.metrics.statistics import Statistics
from shared.runtime.home import Home
from shared.tasks.base import FitContext
from shared.tasks.selection import Monitor
from shared.tasks.task import learner_of
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from simulations.engine.process_pool import ProcessPoolGrid
from tests.federated.federation_kit import Asked, Federate, MakeConfig, toy_app
from tests.federated.hostile_replies import CASES, COUNTS, data_of, evaluate_app, train_app
from tests.fuzzing import draws
from tests.images import classifier, load_images
from tests.profiles import labelled

pytestmark = pytest.mark.attack

TWO = Schema(classes=("0", "1"))


@pytest.mark.parametrize("engine", ["in this process", "processes"])
@pytest.mark.parametrize("kind", CASES)
def test_the_hostile_are_named_and_left_out(kind: str, engine: str, federate: Federate) -> None:
    cases, total = CASES[kind], len(COUNTS[kind])
    overrides = [f"federation.num_clients={total}", "federation.num_rounds=2"]
    with (
        nullcontext(InProcessGrid({"train": train_app, "evaluate": evaluate_app}[kind], num_clients=total))
        if engine == "in this process"
        else ProcessPoolGrid(f"tests.federated.hostile_replies:{kind}_app", num_clients=total, workers=2)
    ) as grid:
        run = federate(*overrides, grid=grid)
    assert run.row.status == "completed"
    stage = "train" if kind == "train" else "val"
    for row in run.rounds:
        named = {name: row.failed.pop(number, "") for number, name in enumerate(cases, start=2)}
        wrong = {name: named[name] for name, (_, reason) in cases.items() if reason not in named[name]}
        assert wrong == {}
        assert all(reason.startswith(f"{stage}: ") for reason in named.values())
        assert row.failed == {}
        assert row.sampled == list(range(total))
        assert row.replied == ([0, 1] if kind == "train" else list(range(total)))
    # As if the good ones were alone: (10 x 1 + 30 x 2) / 40.
    assert run.values("loss", stage=stage) == {1: pytest.approx(1.75), 2: pytest.approx(1.75)}
    assert {
        row.client_id for row in run.store.metrics.of_run(run.id) if row.stage == stage and row.name == "loss"
    } == {None, 0, 1}
    alone = federate("federation.num_clients=2", client_app=toy_app([10, 30]))
    if kind == "train":
        assert run.digest() == alone.digest()
        assert run.digest("best") == alone.digest("best")
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", str([row.failed for row in run.rounds]) + "".join(run.lines))


def test_a_reply_in_which_only_the_points_are_bad_stores_none_of_them(federate: Federate) -> None:
    def late_nan(content: RecordDict, where: Asked) -> RecordDict:
        if where.client_id == 2:
            data_of(content[POINTS])["values"][-1] = math.nan
        return content

    def report(where: Asked) -> dict[str, float]:
        return {"loss": 1.0, "accuracy": 0.5, "recall": 0.5}

    run = federate(client_app=toy_app(report=report, reply=late_nan))
    mine = {row.name for row in run.store.metrics.of_run(run.id) if row.client_id == 2}
    assert mine == {"bytes_up", "bytes_down", "reply_seconds"}
    assert set(run.rounds[0].failed) == {2}
    assert run.rounds[0].failed[2].startswith("train: ")  # it failed twice; the first is told


def test_statistics_are_checked_before_they_are_added(federate: Federate) -> None:
    judge = ClassificationMetrics(2)

    def told(content: RecordDict, where: Asked) -> RecordDict:
        if where.kind == "evaluate":
            size = [10, 20, 30][where.client_id]
            # Rightly: class 0 at 0.2, class 1 at 0.8. Client 2 says that it has a million rows.
            ones = np.array([0.2, 0.8] * (size // 2))
            outputs = Outputs(np.stack([1 - ones, ones], axis=1), np.array([0, 1] * (size // 2)))
            statistics = judge.statistics(outputs)
            if where.client_id == 2:
                statistics = Statistics({**statistics.arrays, "confusion": np.full((2, 2), 250_000)})
            content[STATISTICS] = ConfigRecord(dict(statistics.to_bytes()))
        return content

    run = federate("trainer.threshold=val", client_app=toy_app(reply=told))
    assert run.row.summary["threshold"] == 0.5
    assert "confusion adds up to 1000000, expected 30" in run.rounds[0].failed[2]
    pooled = {
        row.name: row
        for row in run.store.metrics.of_run(run.id)
        if (row.stage, row.round, row.client_id) == ("val", 1, None)
    }
    assert (pooled["recall"].value, pooled["recall"].num_examples) == (1.0, 30)
    silent = federate("trainer.threshold=val", client_app=toy_app())
    assert set(silent.rounds[0].failed) == {0, 1, 2}
    assert silent.row.summary["threshold"] == 0.5


# --- anything at all ------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(),
    st.integers(-3, 300),
    st.floats(),
    st.booleans(),
    st.sampled_from([10**12, 2**63, 10**5000, math.nan, math.inf, -0.0, 7, 7.0]),
)
VALUES = st.one_of(NUMBERS, st.text(max_size=5), st.binary(max_size=5), st.none())
ANY = st.one_of(VALUES, st.lists(VALUES, max_size=4), st.lists(NUMBERS, min_size=2, max_size=2))
KEYS = st.sampled_from(
    [
        NUM_EXAMPLES,
        "stages",
        "names",
        "values",
        "epochs",
        "counts",
        "negatives",
        "positives",
        "a",
        "weight",
        "\ud800",
    ]
)
RECORDS = st.sampled_from([METRICS, POINTS, STATISTICS, ARRAYS, "more", "error", ""])
DTYPES = st.sampled_from(["float32", "float64", "int64", ">f4", "object", "O", "", "no such type"])
SHAPES = st.one_of(
    st.sampled_from([(), (1,), (10**12,), (-1,), (2, 4)]), st.lists(st.integers(), max_size=3).map(tuple)
)
FLOATS = st.floats(width=32)


def set_value(content: RecordDict, record: str, key: str, value: Any) -> None:
    if record in content and record != ARRAYS:  # Flower lets nothing but arrays in there
        data_of(content[record])[key] = value


def del_value(content: RecordDict, record: str, key: str, value: Any) -> None:
    if record in content:
        data_of(content[record]).pop(key, None)


def put_record(content: RecordDict, record: str, key: str, value: Any) -> None:
    made = ConfigRecord() if record != METRICS else MetricRecord()
    data_of(made)[key] = value
    data_of(content)[record] = made


def del_record(content: RecordDict, record: str, key: str, value: Any) -> None:
    data_of(content).pop(record, None)


CHANGES = st.tuples(st.sampled_from([set_value, del_value, put_record, del_record]), RECORDS, KEYS, ANY)


BREAKS = st.tuples(
    st.integers(0, 20),
    st.sampled_from(["value", "bytes", "cut", "header", "shape", "dtype", "raw"]),
    st.integers(0, 10**4),
    st.one_of(FLOATS, st.integers(0, 255), st.binary(max_size=200), SHAPES, DTYPES, st.none()),
)


def break_array(bad: RecordDict, fine: RecordDict, number: int, how: str, place: int, value: Any) -> None:
    """Replace an array by a broken copy of the good one."""
    if not isinstance(bad.get(ARRAYS), ArrayRecord) or ARRAYS not in fine:
        return
    arrays = fine.array_records[ARRAYS]
    key = list(arrays)[number % len(arrays)]
    old, data = arrays[key], bytearray(arrays[key].data)
    dtype, shape = old.dtype, old.shape
    if how == "value" and isinstance(value, float) and dtype == "float32":
        values = old.numpy().copy()
        values.flat[place % values.size] = value
        data = bytearray(Array(values).data)
    elif how == "bytes" and isinstance(value, bytes):
        data = bytearray(value)
    elif how == "cut":
        del data[place % len(data) :]
    elif how == "header" and isinstance(value, int):
        data[place % min(len(data), 128)] = value
    elif how == "shape" and isinstance(value, tuple):
        shape = value
    elif how == "dtype" and isinstance(value, str):
        dtype = value
    data_of(bad[ARRAYS])[key] = made = Array(dtype, shape, old.stype, bytes(data))
    if how == "raw":
        object.__setattr__(made, ["dtype", "shape", "stype", "data"][place % 4], value)


CONTEXT = ServerContext(
    nodes=[1000, 1001],
    eval_nodes=[1000, 1001],
    seed=0,
    fraction_train=1.0,
    fraction_evaluate=1.0,
    min_train=1,
)


@pytest.fixture(scope="module")
def rounds(make_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Rounds:
    cfg = make_config("trainer.threshold=val", "model.norm=batch")
    root = tmp_path_factory.mktemp("fuzz")
    home = Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")
    store = Store(home.database_url)
    data = load_images(cfg.data, cache_dir=home.cache)
    module = classifier(cfg, num_classes=2)
    clients = {
        index: ClientInfo(index, 2, f"site {index}", TWO, num_examples=7, profile=labelled(3, 4), num_val=7)
        for index in range(2)
    }
    roster = Roster(clients=clients, nodes={1000: 0, 1001: 1})
    return Rounds(
        cfg,
        roster=roster,
        intake=ReplyIntake(
            Contract.of(ModelLayout.of(arrays_of(module.network)), max_examples=1000),
            roster=roster,
            judge=module.spec,
            epochs=cfg.federation.local_epochs,
            needs_statistics=True,
        ),
        metrics=MetricAggregation(roster, judge=module.spec),
        recorder=RoundRecorder(
            store,
            run_id=store.runs.create(name="fuzz", training_mode="federated", config={}, seed=0),
            spec=module.spec,
        ),
        evaluation=ServerEvaluation(learner_of(cfg), data=data, context=FitContext(), cfg=cfg.trainer),
        checkpoints=Checkpoints(root),
        progress=Progress(),
        strategy=AveragingServer(CONTEXT),
        train_config=ConfigRecord(),
        monitor=Monitor("val/auroc", "max"),
        say=lambda line: None,
        closed=lambda line: None,
        replied=lambda done, note: None,
    )


def good(rounds: Rounds, kind: str) -> RecordDict:
    stage: Any = "train" if kind == MessageType.TRAIN else "val"
    outputs = Outputs(np.array([[0.75, 0.25]] * 7), np.array([0, 1, 0, 1, 0, 1, 1]))
    return reply_content(
        points=[MetricPoint(stage, "loss", 0.5, epoch=1), MetricPoint(stage, "accuracy", 0.5, epoch=1)],
        num_examples=7,
        arrays=arrays_of(rounds.evaluation.module.network) if kind == MessageType.TRAIN else None,
        statistics=rounds.metrics.judge.statistics(outputs) if kind == MessageType.EVALUATE else None,
    )


@settings(max_examples=draws(40))
@given(
    kind=st.sampled_from([MessageType.TRAIN, MessageType.EVALUATE]),
    changes=st.lists(CHANGES, max_size=2),
    breaks=st.lists(BREAKS, max_size=2),
)
def test_any_reply_is_accepted_or_rejected_and_never_poisons(
    kind: str, changes: list[Any], breaks: list[Any], rounds: Rounds
) -> None:
    asked = Message(RecordDict(), 1000, kind)
    asked.metadata.__dict__["_message_id"] = "asked"
    bad, fine = good(rounds, kind), good(rounds, kind)
    for change, *arguments in changes:
        change(bad, *arguments)
    for arguments in breaks:
        break_array(bad, fine, *arguments)
    replies = [Message(bad, reply_to=asked), Message(fine, reply_to=asked)]
    rounds.metrics.clear()
    rounds.recorder.begin_round()
    delivery = Delivery(sent=[0, 1])
    grid = RoundGrid(InProcessGrid(app, num_clients=0), clients=rounds.roster.nodes, handler=rounds)
    reasons = [grid._judge(kind, client_id, reply, delivery) for client_id, reply in enumerate(replies)]
    assert reasons[0] is None or printable(reasons[0])
    assert reasons[1] is None
    accepted = [client_id for client_id, reason in enumerate(reasons) if reason is None]
    delivery.replied = accepted
    rounds.finish(kind, delivery)
    assert all(
        math.isfinite(value) for values in rounds.metrics.aggregates.values() for value in values.values()
    )
    if kind == MessageType.TRAIN:
        strategy = AveragingServer(CONTEXT)
        strategy.sent = arrays_of(rounds.evaluation.module.network)
        arrays, _ = strategy.aggregate_train(1, [replies[client_id] for client_id in accepted])
        assert arrays is not None
        for key, item in arrays.items():
            assert (tuple(item.shape), item.dtype) == rounds.intake.contract.records[ARRAYS][key]
            assert np.isfinite(item.numpy()).all()
