"""Processes of a sweep's own: commands, a scheduler and its workers, which end with the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
Process = subprocess.Popen[bytes]


def _kill(process: Process) -> None:
    """Kill a process with all that it started in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _until(condition: Callable[[], bool], *, seconds: float = 240) -> None:
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


@pytest.fixture
def kill() -> Callable[[Process], None]:
    """Kills a process with all that it started."""
    return _kill


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits for something."""
    return _until


@pytest.fixture
def start(home: Any, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start Python's modules, in groups of their own; what each says is in ``said_NUMBER``."""
    started: list[Process] = []

    def begin(*command: str, **environment: str) -> Process:
        with (tmp_path / f"said_{len(started)}").open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        _kill(process)


class Cluster:
    """A Dask scheduler with workers, as a user would start them."""

    def __init__(self, start: Callable[..., Process], *, workers: int = 2) -> None:
        self._start = start
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.workers: list[Process] = []
        self._count = workers
        self.begin()

    def begin(self) -> None:
        """Start all of them, in place of those that are left."""
        where = ("--host", "127.0.0.1", "--port", str(self._port), "--no-dashboard")
        self.scheduler = self._start("dask", "scheduler", *where)
        for worker in self.workers:
            _kill(worker)
        self.workers = []
        for _ in range(self._count):
            self.add_worker()

    def add_worker(self, **environment: str) -> None:
        """Start one more worker."""
        command = ("dask", "worker", self.address, "--nthreads", "1", "--no-dashboard")
        self.workers.append(self._start(*command, **environment))


@pytest.fixture
def cluster(start: Callable[..., Process]) -> Callable[..., Cluster]:
    """Start a scheduler and workers."""
    return lambda **options: Cluster(start, **options)
