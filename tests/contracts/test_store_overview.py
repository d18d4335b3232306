"""The contract of what lists and charts read: one suite over SQLite and PostgreSQL."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
import sqlalchemy as sa

from shared.tracking.curves import Curve, curve_query, whole_model_query
from shared.tracking.run_progress import RunProgress
from shared.tracking.schema import run_metrics
from tests.contracts.store_workers import NOON, new_run, point


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def add_round(store, run_id, number):
    times = {"began": NOON, "ended": NOON, "seconds": 1.0}
    who = {"sampled": [0], "replied": [0], "failed": {}, "bytes_down": 1, "bytes_up": 1}
    store.rounds.add(run_id, round=number, **times, **who)


# --- lists --------------------------------------------------------------------------------------------


def test_a_search_looks_at_names_and_ids(store):
    def run(name, data=None, model=None, **more):
        config = {"data": {"name": data}, "model": {"name": model}} if data else {}
        return new_run(store, name=name, config=config, **more)

    first = run("Twins", "digits", "cnn", training_mode="compare")
    second = run("50%_done", "chest-xray", "resnet18", description="Ward 7 only\nsecond line")
    third = run("plain", "digits", "resnet50")
    fourth = run("empty config")

    def found(text="", **more):
        return [row.id for row in store.runs.search(text=text, **more)]

    assert found() == [fourth, third, second, first]
    assert found("twins") == found("TWINS") == [first]
    assert found("digits") == [third, first]
    assert found("digits resnet") == [third]
    assert found("RESNET") == [third, second]
    assert found("ward second") == [second]
    assert found("50%_") == [second]
    assert found("5%d") == found("chest_xray") == []  # neither is a wildcard
    assert found(str(fourth)) == [fourth]
    assert found(str(10**30)) == []
    assert found("\0 \0twins") == [first]
    assert found("'; DROP TABLE run; --") == found('"') == found("\\") == []
    assert found(mode="federated", limit=2) == [fourth, third]
    assert found(before=third) == [second, first]
    assert found(before=10**30) == found()
    store.runs.finish(third, "completed")
    assert found(status="completed", text="digits") == [third]


def test_a_config_with_odd_text_does_not_break_the_search(store):
    plain = new_run(store, config={"data": {"name": "digits"}, "seed": 1})
    odd = [
        new_run(store, name="odd", config={"data": {"name": "digits", "path": path}})
        for path in ("/tmp/\udcff", "/tmp/\0", "C:\\users")
    ]
    assert {plain, odd[2]} <= {row.id for row in store.runs.search(text="digits")}
    assert [row.id for row in store.runs.search(text="odd")] == odd[::-1]
    assert store.runs.search(text="odd")[2].config["data"]["path"] == "/tmp/\udcff"


def test_a_run_that_may_be_missing(store):
    run_id = new_run(store)
    assert store.runs.find(run_id) == store.runs.get(run_id)
    assert store.runs.find(run_id + 1) is None
    assert store.kind == ("sqlite" if store._database.is_sqlite else "postgresql")


def test_how_far_runs_have_come(store):
    federated, pooled, empty = new_run(store), new_run(store, training_mode="centralized"), new_run(store)
    store.metrics.add(
        federated,
        [
            point(round=0, time=after(1)),
            point(round=3, epoch=9, client_id=4, time=after(9)),
            point(round=2, time=after(5)),
        ],
    )
    for number in (0, 1, 2):
        add_round(store, federated, number)
    store.metrics.add(
        pooled, [point(epoch=2, time=after(2)), point(epoch=11), point(stage="test", time=after(3))]
    )
    nothing = RunProgress(last_round=None, last_epoch=None, done_round=None, last_event=None)
    assert store.runs.progress([federated, pooled, empty, 999]) == {
        federated: RunProgress(last_round=3, last_epoch=None, done_round=2, last_event=after(5)),
        pooled: RunProgress(last_round=None, last_epoch=11, done_round=None, last_event=after(3)),
        empty: nothing,
    }
    assert store.runs.progress([]) == {}


def test_curves_of_many_runs(store):
    federated, pooled = new_run(store), new_run(store, training_mode="centralized")
    store.metrics.add(
        federated,
        [
            *(point(number / 8, round=number) for number in (1, 2, 3, 5, 6, 7)),
            point(math.nan, round=4),
            *(point(0.9, round=number, client_id=0) for number in range(8)),
            *(point(0.8, round=number, epoch=1) for number in range(8)),
            point(0.7, round=2, stage="train"),
            point(0.6, round=2, name="f1"),
        ],
    )
    store.metrics.add(pooled, [point(number / 4, epoch=number) for number in (1, 2, 3)])
    store.metrics.add(pooled, [point(0.95, stage="test")])

    def curve(run_id, unit, last, **more):
        return Curve(
            **{"run_id": run_id, "unit": unit, "stage": "val", "name": "accuracy", "last": last, **more}
        )

    both = [curve(federated, "round", 7), curve(pooled, "epoch", 3)]
    assert store.series.curves(both) == {
        federated: [0.125, 0.25, 0.375, 0.625, 0.75, 0.875],
        pooled: [0.25, 0.5, 0.75],
    }
    assert store.series.curves([curve(federated, "round", 7, stride=3)]) == {federated: [0.375, 0.75, 0.875]}
    assert store.series.curves(
        [curve(federated, "round", 7, name="f1"), curve(pooled, "epoch", 3, stage="train")]
    ) == {
        federated: [0.6],
        pooled: [],
    }
    assert store.series.curves([curve(federated, "round", 0, stride=1)]) == {federated: []}
    assert store.series.curves([]) == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_curves_are_looked_up_in_the_index(store):
    wanted = [Curve(run_id=1, unit="round", stage="val", name="loss", last=9)]
    with store._database.read() as connection:
        text = str(curve_query(wanted).compile(connection, compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))]
    (search,) = [line for line in plan if "run_metrics" in line]
    index = "SEARCH run_metrics USING INDEX run_metrics_one_value"
    assert search == f"{index} (run_id=? AND <expr>=? AND <expr>=? AND <expr>=? AND stage=? AND name=?)"


# --- charts -------------------------------------------------------------------------------------------


def test_values_of_the_whole_model(store):
    run_id, other = new_run(store), new_run(store)
    store.metrics.add(run_id, [point(0.5, round=1, client_id=2, epoch=3, num_examples=7)])
    store.metrics.add(other, [point(0.1, round=1)])
    store.metrics.add(run_id, [point(math.nan, round=1), point(-math.inf, round=7, stage="train", name="loss")])
    store.metrics.add(run_id, [point(0.25, num_examples=9), point(0.75, round=7)])
    found, total = store.series.curve(run_id, stage="val", name="accuracy")
    assert total == len(found)
    assert sorted(found, key=repr) == [(1, None, None, None), (7, None, 0.75, None), (None, None, 0.25, 9)]
    assert store.series.curve(run_id, stage="train", name="loss") == ([(7, None, -math.inf, None)], 1)
    assert store.series.curve(new_run(store), stage="val", name="loss") == ([], 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_values_of_the_whole_model_are_found_without_those_of_clients(store):
    query = whole_model_query(1, run_metrics.c.value)
    with store._database.read() as connection:
        text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))]
    searches = [line for line in plan if "run_metrics" in line]
    assert all("INDEX run_metrics_one_value (run_id=? AND <expr>" in line for line in searches)
    assert len(searches) == 2


def test_all_curves_as_columns(store):
    run_id = new_run(store)
    store.metrics.add(run_id, [point(0.5, round=1, client_id=2, epoch=3, num_examples=7), point(math.nan)])
    found = store.series.all_curves(run_id)
    assert found.cursor == store.metrics.cursor(run_id)
    (row, final), noon = found.points.rows.tolist(), 1767355200123456  # 2 January 2026, 12:00:00.123456 UTC
    assert (found.points.keys, row) == ((("val", "accuracy"),), (row[0], 2, 0, 1, 3, 0.5, 7, noon, 0))
    assert math.isnan(final[5])
    assert final[1:5] == (-1, 0, -1, -1)
    nothing = store.series.all_curves(new_run(store))
    assert (nothing.cursor, len(nothing.points.rows)) == (0, 0)


def examples(store, run_id):
    return {number: step.examples for number, step in store.series.steps(run_id).items()}


def test_examples_by_step(store):
    federated, pooled = new_run(store), new_run(store, training_mode="centralized")
    trained = {"stage": "train", "name": "loss"}
    store.metrics.add(
        federated,
        [
            *(point(round=1, client_id=0, epoch=epoch, num_examples=30, **trained) for epoch in (1, 2)),
            point(round=1, client_id=1, epoch=1, num_examples=10, **trained),
            point(round=2, client_id=1, epoch=1, num_examples=10, **trained),
            point(round=3, client_id=1, epoch=1, **trained),
            point(round=1, num_examples=40, **trained),
            # Whatever an epoch logs, its rows count once; a module need not call its loss so.
            point(round=1, client_id=0, epoch=1, num_examples=30, stage="train", name="accuracy"),
            point(round=2, client_id=1, epoch=2, num_examples=10, stage="train", name="mse"),
            point(round=1, client_id=0, num_examples=99, name="loss"),
        ],
    )
    store.metrics.add(pooled, [point(epoch=epoch, num_examples=97, **trained) for epoch in (1, 2)])
    assert examples(store, federated) == {1: 70, 2: 20, 3: 0}
    assert examples(store, pooled) == {1: 97, 2: 97}
    assert all(type(count) is int for count in examples(store, federated).values())


def test_times_by_step(store):
    run_id = new_run(store)
    store.metrics.add(
        run_id,
        [
            point(round=1, time=after(5)),
            point(round=1, stage="train", time=after(3)),
            point(round=1, client_id=0, time=after(99)),
            point(round=2, time=after(8)),
            point(stage="test", time=after(9)),
        ],
    )
    times = {number: step.time for number, step in store.series.steps(run_id).items()}
    assert times == {1: after(5), 2: after(8)}


def test_names_of_metrics(store):
    run_id = new_run(store)
    named = [point(round=number, name=name) for number in (1, 2) for name in ("loss", "accuracy")]
    others = [
        point(round=1, client_id=0, name="f1"),
        point(name="auroc"),
        point(round=1, stage="test", name="recall"),
    ]
    store.metrics.add(run_id, [*named, *others])
    assert store.series.metric_names(run_id, stage="val", unit="round") == ["accuracy", "loss"]
    assert store.series.metric_names(run_id, stage="test", unit="round") == ["recall"]
    assert store.series.metric_names(run_id, stage="val", unit="epoch") == []
