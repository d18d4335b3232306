"""Programs that the store's contract tests run as processes of their own: ``store_workers.py WHAT URL ...``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from shared.metrics.point import MetricPoint
from shared.tracking.fence import Fence
from shared.tracking.store import Store

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def new_run(store: Store, **changes) -> int:
    given = {"name": "digits-cnn", "training_mode": "federated", "config": {"seed": 7}, "seed": 7}
    return store.runs.create(**{**given, **changes})


def point(value=0.5, **changes) -> MetricPoint:
    return MetricPoint(**{"stage": "val", "name": "accuracy", "value": value, "time": NOON, **changes})


@contextmanager
def worker(what: str, *args, code: int = 0) -> Iterator[subprocess.Popen]:
    """A process of this file, which must end with ``code``."""
    command = [sys.executable, __file__, what, *map(str, args)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        assert process.wait() == code


def begin_and_vanish(url: str) -> None:
    with Store(url) as store:
        say(new_run(store))
        os._exit(0)


def write_batches(url: str, run_id: str, client_id: str) -> None:
    with Store(url) as store:
        for batch in range(20):
            points = [point(round=batch, epoch=epoch, client_id=int(client_id)) for epoch in range(30)]
            assert store.metrics.add(int(run_id), points) == 30


def write_sizes(url: str, run_id: str, client_id: str, size: str) -> None:
    """Two thousand points, ``size`` of them in a transaction."""
    with Store(url) as store:
        for first in range(0, 2000, int(size)):
            rounds = range(first, first + int(size))
            points = [point(round=number, client_id=int(client_id)) for number in rounds]
            assert store.metrics.add(int(run_id), points) == int(size)


def write_and_acknowledge(url: str, run_id: str) -> None:
    with Store(url) as store:
        for batch in range(1_000_000):
            store.metrics.add(int(run_id), [point(round=batch, epoch=epoch) for epoch in range(40)])
            say(batch)


def take_jobs(url: str) -> None:
    """Claim and complete jobs until there are none."""
    with Store(url) as store:
        while (row := store.queue.claim(f"here {os.getpid()}")) is not None:
            store.queue.complete(Fence(row.id, row.attempt))
            say(row.id)


def first_use(url: str) -> None:
    with Store(url) as store:
        say("ready")
        sys.stdin.readline()
        say(new_run(store))


def say(value: object) -> None:
    print(value, flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
