"""Curves: what is drawn of many values, and which values are one curve."""

from __future__ import annotations

import math

from service.api import chart_schemas
from service.read.series import run_series
from tests.service.rows_kit import after, federated_run, is_json, new_run, point

NAN, INF = math.nan, math.inf


# --- which values are one curve -----------------------------------------------------------------------


def series(store, run, **given):
    found = run_series(store, run, **{"points": 1000, **given})
    chart_schemas.SeriesList.model_validate(found)
    assert is_json(found)
    return found


def test_a_pooled_run_goes_by_epoch(store):
    run = new_run(store)
    store.metrics.add(
        run.id,
        [
            point(0.5, epoch=2, num_examples=50, time=after(2.5)),
            point(NAN, epoch=1, num_examples=50, time=after(1)),
            point(INF, epoch=3),
            point(0.25, epoch=1, stage="train", name="loss", num_examples=100),
            point(0.9, stage="test", num_examples=30),  # the final test is of no epoch
        ],
    )
    noon = 1767355200000  # 2 January 2026, 12:00 UTC
    assert series(store, run) == {
        "cursor": 5,
        "series": [
            {
                "stage": "train",
                "name": "loss",
                "client_id": None,
                "unit": "epoch",
                "x": [1],
                "y": [0.25],
                "num_examples": [100],
                "time": [noon],
                "total": 1,
                "sampled": False,
            },
            {
                "stage": "val",
                "name": "accuracy",
                "client_id": None,
                "unit": "epoch",
                "x": [1, 2, 3],
                "y": [None, 0.5, None],
                "num_examples": [50, 50, None],
                "time": [noon + 1000, noon + 2500, noon],
                "total": 3,
                "sampled": False,
            },
        ],
    }


def test_a_federated_run_goes_by_round_and_its_last_local_epoch_stands_for_it(store):
    run = new_run(store, training_mode="federated")
    local = {"stage": "train", "name": "loss", "client_id": 3}
    store.metrics.add(
        run.id,
        [
            point(0.0625, stage="test", round=0),
            point(4.0, round=1, epoch=1, **local),
            point(2.0, round=1, epoch=2, **local),
            point(1.0, round=2, epoch=2, **local),
            point(3.0, round=2, epoch=1, **local),  # whatever order they came in
            point(1.5, stage="train", name="loss", round=1),
            point(0.5, stage="test"),
        ],
    )
    found = series(store, run)["series"]
    assert [(one["stage"], one["name"], one["client_id"], one["x"], one["y"]) for one in found] == [
        ("train", "loss", None, [1], [1.5]),
        ("train", "loss", 3, [1, 2], [2.0, 1.0]),
        ("test", "accuracy", None, [0], [0.0625]),
    ]
    assert {one["unit"] for one in found} == {"round"}


def test_what_is_asked_for(store):
    run = federated_run(store, 0.5, 0.75)

    def keys(**given):
        return [(one["stage"], one["name"], one["client_id"]) for one in series(store, run, **given)["series"]]

    train, val = ("train", "loss"), ("val", "accuracy")
    assert keys() == [(*train, 0), (*train, 1), (*val, None)]
    assert keys(stage="train") == keys(name="loss") == [(*train, 0), (*train, 1)]
    assert keys(clients=False) == keys(name="accuracy") == [(*val, None)]
    assert keys(stage="val", name="loss") == []
    assert series(store, run, stage="val", name="loss")["cursor"] == 6  # what is not asked for counts


def test_a_long_curve_is_sampled(store):
    run = new_run(store)
    values = [0.5] * 30
    values[11], values[17] = 0.0, 1.0
    store.metrics.add(run.id, [point(value, epoch=1 + place) for place, value in enumerate(values)])
    (one,) = series(store, run, points=6)["series"]
    assert (one["total"], one["sampled"], one["x"][0], one["x"][-1]) == (30, True, 1, 30)
    assert {12: 0.0, 18: 1.0}.items() <= dict(zip(one["x"], one["y"], strict=True)).items()
    assert len(one["x"]) == len(one["time"]) == len(one["num_examples"]) <= 6


def test_a_run_without_values(store):
    assert series(store, new_run(store)) == {"cursor": 0, "series": []}
