"""Long runs: what is read from their digests is what all rows say, in both databases."""

from __future__ import annotations

import json
import random

import pytest
import sqlalchemy as sa

from service.comparison import thinned
from service.comparison.comparison import compare
from service.read.series import run_series
from shared.tracking import digests as made
from shared.tracking import metrics, points, series
from shared.tracking.export import export_parts
from shared.tracking.schema import metric_digest
from tests.contracts.store_workers import NOON, new_run, point

CLIENTS, ROUNDS = 5, 120
ROWS = 4000  # of a digest; 20,000 in earnest
ROWS_A_ROUND = 8 * (CLIENTS + 1)
NAMES = ("loss", "accuracy", "f1", "auroc")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(metrics, "ROWS", ROWS)
    monkeypatch.setattr(points, "OF_CLIENTS", 400)
    for module in (made, series):
        monkeypatch.setattr(module, "LATE", ROWS)


def fill(store, run_id, *, rounds, first=1):
    """Rows of some rounds, in one transaction a round, and the aggregate of each."""
    rng = random.Random(first)
    for number in range(first, first + rounds):
        store.metrics.add(
            run_id,
            [
                point(rng.random(), round=number, client_id=client, stage=stage, name=name, num_examples=5)
                for client in (*range(CLIENTS), None)
                for stage in ("train", "val")
                for name in NAMES
            ],
        )


def digests(store):
    query = sa.select(metric_digest.c.run_id, metric_digest.c.num_rows).order_by(metric_digest.c.last_id)
    return [tuple(row) for row in store._database.select(query)]


def expected(rows):
    """Curves by hand: of each stage, name and client."""
    curves = {}
    for row in rows:
        curves.setdefault((row.stage, row.name, row.client_id), {})[row.round] = row.value
    return curves


def test_a_long_run(store):
    run_id, short = new_run(store), new_run(store)
    fill(store, short, rounds=1)
    fill(store, run_id, rounds=ROUNDS)
    rows = store.metrics.of_run(run_id)
    ((of_run, count),) = digests(store)
    assert (of_run, ROWS <= count < len(rows)) == (run_id, True)

    run = store.runs.get(run_id)
    found = run_series(store, run, points=1000)
    assert found["cursor"] == rows[-1].id
    curves = expected(rows)
    assert len(found["series"]) == len(curves)
    for curve in found["series"]:
        every = curves[curve["stage"], curve["name"], curve["client_id"]]
        assert all(every[step] == value for step, value in zip(curve["x"], curve["y"], strict=True))
        assert (curve["x"][0], curve["x"][-1], curve["total"]) == (1, ROUNDS, ROUNDS)
        assert curve["sampled"] == (len(curve["x"]) < ROUNDS) == (curve["client_id"] is not None)
        assert (min(curve["y"]), max(curve["y"])) == (min(every.values()), max(every.values()))

    newest = {(row.client_id, row.stage, row.name): row for row in rows}
    assert store.metrics.latest(run_id) == sorted(newest.values(), key=lambda row: row.id)
    steps = store.series.steps(run_id)
    assert {number: step.examples for number, step in steps.items()} == dict.fromkeys(
        range(1, ROUNDS + 1), 5 * CLIENTS
    )
    assert {step.time for step in steps.values()} == {NOON}
    history = json.loads(b"".join(export_parts(store, run_id, format="json")))["history"]
    assert history == [row.as_dict() for row in rows]

    store.runs.finish(run_id, "completed")
    assert sum(number for _, number in digests(store)) == len(rows)
    again = run_series(store, run, points=1000)["series"]
    assert [curve["total"] for curve in again] == [ROUNDS] * len(curves)
    store.runs.delete(run_id)
    assert digests(store) == []


def test_a_long_run_of_an_older_version(store):
    run_id = new_run(store)
    fill(store, run_id, rounds=ROWS // ROWS_A_ROUND + 1)
    with store._database.write() as connection:
        connection.execute(sa.delete(metric_digest))
    found = run_series(store, store.runs.get(run_id), points=1000)
    assert sum(number for _, number in digests(store)) == store.metrics.of_run(run_id)[-1].id
    assert {curve["total"] for curve in found["series"]} == {ROWS // ROWS_A_ROUND + 1}


EPOCHS = 1500  # 12,000 rows of a pooled run


def fill_pooled(store, run_id):
    rng, spikes = random.Random(0), {700: -9.0, 701: 9.0}
    for number in range(1, EPOCHS + 1):
        store.metrics.add(
            run_id,
            [
                point(spikes.get(number, rng.random()), epoch=number, stage=stage, name=name, num_examples=5)
                for stage in ("train", "val")
                for name in NAMES
            ],
        )


def test_a_comparison_reads_the_digests_of_long_runs(store, monkeypatch):
    federated = new_run(store, config={})
    pooled = new_run(store, training_mode="centralized", config={})
    fill(store, federated, rounds=ROUNDS)
    fill_pooled(store, pooled)
    # A long run and some newer rows, of which one has a name of its own.
    store.metrics.add(pooled, [point(0.5, epoch=EPOCHS + 1, name=name) for name in (*NAMES, "recall")])
    runs = [store.runs.get(run_id) for run_id in (pooled, federated)]

    def compared():
        return compare(store, runs, metric="accuracy", stage="val")

    read = []
    monkeypatch.setattr(store.series, "_digested_curve", spy(store.series._digested_curve, read))
    found = compared()
    assert len(read) >= 2, "both are read by their digests"
    assert found["metrics"] == sorted(NAMES, key=found["metrics"].index)
    every = {
        row.epoch: row.value
        for row in store.metrics.of_run(pooled)
        if (row.stage, row.name) == ("val", "accuracy")
    }
    one, other = found["runs"]
    assert len(one["step"]) < EPOCHS / 2
    assert (one["sampled"], other["sampled"]) == (True, False)
    assert (one["step"][0], one["step"][-1], other["step"]) == (1, EPOCHS + 1, [*range(1, ROUNDS + 1)])
    assert all(every[step] == value for step, value in zip(one["step"], one["value"], strict=True))
    assert (min(one["value"]), max(one["value"])) == (-9.0, 9.0)
    assert one["examples"] == [5 * min(step, EPOCHS) for step in one["step"]]
    (gap,) = found["gaps"]
    assert gap["step"] == [*range(1, ROUNDS + 1)]
    monkeypatch.setattr(thinned, "MOST_POINTS", 40)
    monkeypatch.setattr("service.comparison.comparison.MOST_POINTS", 40)
    few = compared()
    assert [len(run["step"]) <= 40 and run["sampled"] for run in few["runs"]] == [True, True]
    assert len(few["gaps"][0]["step"]) == len(few["gaps"][0]["low"]) <= 40
    assert max(few["gaps"][0]["value"]) == max(gap["value"])
    assert set(store.series.metric_names(pooled, stage="val", unit="epoch")) == {*NAMES, "recall"}
    assert set(store.series.metric_names(federated, stage="train", unit="round")) == {*NAMES}


def spy(method, calls):
    def called(*args, **kwargs):
        calls.append(args)
        return method(*args, **kwargs)

    return called
