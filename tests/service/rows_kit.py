"""Small runs whose numbers are known by hand, and the REST API alone on a real uvicorn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from service.api import problems
from service.api.operations import router as operations
from service.api.router import build_router
from service.dataset_limits import DatasetLimits
from service.security.middleware import SecurityMiddleware
from service.settings import Settings
from shared.config.hydra_session import HydraSession
from shared.metrics.point import MetricPoint
from shared.runtime.home import Home
from shared.tracking.rows import ClientRow, RunRow
from shared.tracking.store import Store
from tests.profiles import stored
from tests.service.server_kit import serving

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
CONFIG = {
    "name": "digits-cnn",
    "seed": 7,
    "data": {"name": "digits"},
    "model": {"name": "cnn"},
    "trainer": {"max_epochs": 4, "monitor": None, "mode": None, "optimizer": {"lr": 0.01}},
    "strategy": {"name": "fedavg"},
    "federation": {"num_rounds": 3},
}


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def point(value: float, **changes: Any) -> MetricPoint:
    return MetricPoint(**{"stage": "val", "name": "accuracy", "value": value, "time": NOON, **changes})


def new_run(store: Store, **changes: Any) -> RunRow:
    given = {"name": "digits-cnn", "training_mode": "centralized", "config": CONFIG, "seed": 7}
    run_id = store.runs.create(**{**given, **changes})
    if "config" not in changes:
        store.runs.update(run_id, summary={"monitor": {"key": "val/accuracy", "mode": "max"}})
    return store.runs.get(run_id)


def pooled_run(store: Store, *values: float, examples: int = 100, **changes: Any) -> RunRow:
    """A pooled run of one epoch a value: ``examples`` training examples an epoch, 50 to validate on."""
    run = new_run(store, **changes)
    points = []
    for epoch, value in enumerate(values, 1):
        at = {"epoch": epoch, "time": run.started + timedelta(seconds=10 * epoch)}
        points.append(point(value, num_examples=50, **at))
        points.append(point(1.0, stage="train", name="loss", num_examples=examples, **at))
    store.metrics.add(run.id, points)
    return run


def federated_run(store: Store, *values: float, examples: int = 100, **changes: Any) -> RunRow:
    """A federated run of one round a value: two clients train ``examples`` / 2 each, 50 rows to validate on.

    Each round takes 20 seconds and sends 3,000 bytes down and 1,000 up.
    """
    run = new_run(store, **{"training_mode": "federated", **changes})
    points = []
    for number, value in enumerate(values, 1):
        at = {"round": number, "time": run.started + timedelta(seconds=20 * number)}
        trained = {"stage": "train", "name": "loss", "num_examples": examples // 2, "epoch": 1}
        points += [point(1.0, client_id=client_id, **trained, **at) for client_id in (0, 1)]
        points.append(point(value, num_examples=50, **at))
        add_round(store, run.id, number)
    store.metrics.add(run.id, points)
    return run


def add_round(store: Store, run_id: int, number: int) -> None:
    store.rounds.add(
        run_id,
        round=number,
        began=after(20 * number - 20),
        ended=after(20 * number),
        sampled=[0, 1],
        replied=[0],
        failed={1: "train: <b>late</b>"},
        bytes_down=3000,
        bytes_up=1000,
        seconds=20.0,
    )


def clients(run_id: int) -> list[ClientRow]:
    return [
        ClientRow(run_id, number, str(1000 + number), f"site {number}", 50, stored(20, 30)) for number in (0, 1)
    ]


def is_json(value: Any) -> bool:
    """Whether a value survives JSON, in which there is no NaN."""
    return json.loads(json.dumps(value, allow_nan=False)) == value


def build_app(
    store: Store,
    home: Home,
    *,
    token: str | None = None,
    train_token: str | None = None,
    data_folders: tuple[Path, ...] = (),
    dataset_limits: DatasetLimits = DatasetLimits(),  # noqa: B008 - it is frozen
    **more: Any,
) -> FastAPI:
    """The REST API alone, with one route more that fails."""
    app = FastAPI(version="1.2.3", **more)
    app.state.store = store
    settings = Settings(
        database_url=home.database_url,
        home=home,
        token=token,
        train_token=train_token,
        data_folders=data_folders,
        dataset_limits=dataset_limits,
        rate=0,
    )
    app.state.settings = settings
    app.state.session = HydraSession()
    app.state.viewers = lambda: 0
    app.add_middleware(SecurityMiddleware, settings=settings, tokens=store.tokens, audit=store.audit)
    problems.install_handlers(app)
    app.include_router(build_router())
    app.include_router(operations)

    @app.get("/api/fails")
    def fails() -> None:
        raise RuntimeError("postgresql://me:secret@db.example/fedtwin")

    return app


@contextmanager
def asking(store: Store, home: Home, *, train_token: str | None = None) -> Iterator[httpx.Client]:
    """A server, and a client of it, who may train if there is a token."""
    headers = {} if train_token is None else {"authorization": f"Bearer {train_token}"}
    options: dict[str, Any] = {"headers": headers, "trust_env": False, "timeout": 30}
    with (
        serving(build_app(store, home, train_token=train_token)) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", **options) as client,
    ):
        yield client
