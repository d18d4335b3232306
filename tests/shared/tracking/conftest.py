"""A store in a temporary folder, and a small federated run whose numbers are known by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from shared.metrics.point import MetricPoint
from shared.tracking.rows import ClientRow
from shared.tracking.store import Store
from tests.databases import open_new
from tests.profiles import stored

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOSTILE = "[red]St. Mary[/] \x1b[2J\u202e\\"


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with open_new(f"sqlite:///{tmp_path / 'fedtwin.db'}") as opened:
        yield opened


@pytest.fixture
def federated(store: Store) -> int:
    """Two rounds; validation accuracy 0.5 then 0.75, loss 0.9 then 0.6; client 1 failed in round 2."""
    config = {"data": {"name": "digits"}, "federation": {"num_rounds": 2}, "trainer": {"monitor": None}}
    run_id = store.runs.create(name=HOSTILE, training_mode="federated", config=config, seed=3)
    clients = [
        ClientRow(run_id, 0, "11", HOSTILE, 30, stored(10, 20)),
        ClientRow(run_id, 1, "12", "b", 10, stored(5, 5)),
    ]
    store.clients.add(run_id, clients)
    for number, accuracy, loss in ((1, 0.5, 0.9), (2, 0.75, 0.6)):
        values = {"accuracy": accuracy, "loss": loss, "auroc": math.nan}
        points = [
            MetricPoint(stage="val", name=name, value=value, round=number, client_id=client, time=NOON)
            for client in (None, 0)
            for name, value in values.items()
        ]
        points.append(
            MetricPoint(stage="test", name="accuracy", value=accuracy - 0.25, round=number, time=NOON)
        )
        store.metrics.add(run_id, points)
        store.evaluations.add(
            run_id, round=number, loss=loss, metrics=values, confusion=[[4, 1], [2, number]], num_examples=8
        )
        store.rounds.add(
            run_id,
            round=number,
            began=NOON,
            ended=NOON + timedelta(seconds=2),
            sampled=[0, 1],
            replied=[0, 1] if number == 1 else [0],
            failed={} if number == 1 else {1: HOSTILE},
            bytes_down=2_500_000,
            bytes_up=1_000_000,
            seconds=2.0,
        )
    return run_id


@pytest.fixture
def pooled(store: Store) -> int:
    """Three epochs of at most ten, stopped early; tested on four rows."""
    run_id = store.runs.create(name="digits-cnn", training_mode="centralized", config={}, seed=3)
    for epoch, accuracy in ((1, 0.5), (2, 0.8), (3, 0.7)):
        points = [
            MetricPoint(stage="train", name="loss", value=1 / epoch, epoch=epoch, num_examples=10, time=NOON),
            MetricPoint(stage="val", name="accuracy", value=accuracy, epoch=epoch, num_examples=5, time=NOON),
            MetricPoint(stage="val", name="calibration_error", value=accuracy / 10, epoch=epoch, time=NOON),
        ]
        store.metrics.add(run_id, points)
    store.metrics.add(run_id, [MetricPoint(stage="test", name="accuracy", value=0.75, time=NOON)])
    store.runs.update(run_id, summary={"confusion": [[2, 0], [1, 1]]})
    store.runs.finish(run_id, "completed", stop_reason="val/accuracy did not improve")
    return run_id
