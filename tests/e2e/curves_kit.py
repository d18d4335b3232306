"""Runs that never trained, whose curves are known by hand: for tests of what the page says about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from shared.config.config import Config
from shared.metrics.point import MetricPoint
from shared.tracking.store import Store
from tests.e2e.page_kit import Server

EXAMPLES = 100  # of an epoch or a round
ROWS = 50  # to validate on


@contextmanager
def store_of(live: Server) -> Iterator[Store]:
    """The database that a server shows."""
    with Store(f"sqlite:///{live.home / 'fedtwin.db'}") as store:
        yield store


def add_run(
    store: Store,
    cfg: Config,
    mode: str,
    values: Mapping[str, Sequence[float]],
    *,
    test: Mapping[str, float] | None = None,
    parent_id: int | None = None,
    end: bool = True,
) -> int:
    """A run with one epoch, or round, a value, of some metrics by ``stage/name``."""
    given: dict[str, Any] = {"name": cfg.name, "config": cfg.snapshot(), "seed": cfg.seed}
    run_id = store.runs.create(training_mode=mode, parent_id=parent_id, **given)
    began = store.runs.get(run_id).started
    unit = "round" if mode == "federated" else "epoch"
    for number in range(1, 1 + max(map(len, values.values()), default=0)):
        at: dict[str, Any] = {unit: number, "time": began + timedelta(seconds=number)}
        loss = {"num_examples": EXAMPLES, **({"client_id": 0, "epoch": 1} if mode == "federated" else {})}
        points = [MetricPoint("train", "loss", 1.0, **{**at, **loss})]
        for key, curve in values.items():
            stage, name = key.split("/")
            points += [
                MetricPoint(stage, name, value, num_examples=ROWS, **at) for value in curve[number - 1 : number]
            ]
        store.metrics.add(run_id, points)
    if test is not None:
        store.runs.update(run_id, summary={"test": dict(test)})
    if end:
        store.runs.finish(run_id, "completed")
    return run_id
