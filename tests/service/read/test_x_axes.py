"""The x-axes of runs, against sums made by hand."""

from __future__ import annotations

from datetime import timedelta

from service.api import chart_schemas
from service.read.x_axes import x_axis_columns
from tests.service.rows_kit import add_round, federated_run, new_run, point, pooled_run


def steps(store, run):
    found = x_axis_columns(store, run)
    chart_schemas.Steps.model_validate(found)
    return found


def test_a_pooled_run(store):
    run = pooled_run(store, 0.5, 0.75, 0.625, examples=97)
    assert steps(store, run) == {
        "unit": "epoch",
        "step": [1, 2, 3],
        "examples": [97, 194, 291],
        "seconds": [10.0, 20.0, 30.0],
        "bytes": [None, None, None],  # nothing is sent
    }


def test_a_federated_run(store):
    run = new_run(store, training_mode="federated")

    def at(seconds):
        return {"time": run.started + timedelta(seconds=seconds)}

    def trained(client_id, number, epoch, examples, seconds):
        where = {"client_id": client_id, "round": number, "epoch": epoch}
        return point(1.0, stage="train", name="loss", num_examples=examples, **where, **at(seconds))

    store.metrics.add(
        run.id,
        [
            point(0.1, stage="test", round=0, **at(4)),
            # Round 1: client 0 twice over 30 rows, client 1 twice over 10: 80 examples.
            *(trained(0, 1, epoch, 30, 99) for epoch in (1, 2)),
            *(trained(1, 1, epoch, 10, 99) for epoch in (1, 2)),
            point(1.0, stage="train", name="loss", round=1, num_examples=40, **at(9)),
            point(0.5, round=1, num_examples=20, **at(12.5)),
            # Round 2: only client 1, and it has not ended.
            *(trained(1, 2, epoch, 10, 99) for epoch in (1, 2)),
            point(0.5, stage="test"),  # the final test is of no round
        ],
    )
    add_round(store, run.id, 1)
    assert steps(store, run) == {
        "unit": "round",
        "step": [0, 1, 2],
        "examples": [0, 80, 100],
        "seconds": [4.0, 12.5, None],  # by the server's clock, not by the clients'
        "bytes": [0, 4000, None],
    }


def test_bytes_add_up(store):
    assert steps(store, federated_run(store, 0.5, 0.75, 0.625))["bytes"] == [0, 4000, 8000, 12000]


def test_a_run_that_has_not_begun(store):
    empty = {"examples": [], "seconds": [], "bytes": [], "step": []}
    assert steps(store, new_run(store)) == {"unit": "epoch", **empty}
    begun = {"step": [0], "examples": [0], "seconds": [None], "bytes": [0]}
    assert steps(store, new_run(store, training_mode="federated")) == {"unit": "round", **begun}
