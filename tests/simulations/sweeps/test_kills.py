"""A sweep whose command, worker and scheduler, all of their own, are killed: every trial once, none lost."""

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

import pytest

from shared.config.stored import read_snapshot
from shared.runtime.home import Home
from simulations.execute import execute

ROOT = Path(__file__).parents[3]
SMALL = ["data=npz", "data.image_size=8", "data.batch_size=8", "model.widths=[8,16]", "trainer.accelerator=cpu"]
# Some seconds a trial, each of its epochs a place where it can be killed and resumed.
PLAN = ["--mode", "pooled", "trainer.optimizer.lr=0.01,0.02", "seed=1,2", "trainer.max_epochs=40"]
LONG = ["trainer.early_stopping.enabled=false"]


@pytest.fixture
def start(home: Home, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start processes, in groups of their own, that end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*command: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"said_{len(started)}").open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all that it started in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


@pytest.fixture
def cluster(start: Callable[..., subprocess.Popen[bytes]]) -> Callable[[], list[subprocess.Popen[bytes]]]:
    """Start a scheduler and two workers, as a user would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    address = f"tcp://127.0.0.1:{port}"

    def begin() -> list[subprocess.Popen[bytes]]:
        scheduler = start("dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        workers = [start("dask", "worker", address, "--nthreads", "1", "--no-dashboard") for _ in range(2)]
        return [scheduler, *workers]

    begin.address = address  # type: ignore[attr-defined]
    return begin


@pytest.mark.slow
@pytest.mark.attack
def test_every_trial_once_whatever_is_killed(start, cluster, store, home, two_classes, tmp_path):
    data = [f"data.path={two_classes}"]
    there = ["--scheduler", cluster.address]
    scheduler, _, worker = cluster()
    command = start("fedtwin", "sweep", *PLAN, *SMALL, *LONG, *data, *there)

    def trials():
        runs = [run for run in store.runs.search(mode="sweep") if run.id == 1]
        return store.trials.of_sweep(1) if runs else []

    def running() -> int:
        return sum(trial.status == "running" for trial in trials())

    until(lambda: running() > 1)
    os.kill(worker.pid, signal.SIGKILL)  # its trial goes on elsewhere
    time.sleep(1)
    kill(command)  # its trials go on without it

    command = start("fedtwin", "resume", "1", *there)
    said_now = max(tmp_path.glob("said_*"), key=lambda path: int(path.name.partition("_")[2]))
    until(lambda: "at once on the workers" in said_now.read_text())  # not only what was left
    until(lambda: any(trial.status == "completed" for trial in trials()))
    until(lambda: running() > 0)
    kill(scheduler)
    assert command.wait(timeout=120) == 2
    said = "".join(path.read_text() for path in tmp_path.glob("said_*"))
    assert "the scheduler is gone; trials that have ended are kept: fedtwin resume 1" in said

    done = {trial.number for trial in trials() if trial.status == "completed"}
    cluster()
    time.sleep(3)
    command = start("fedtwin", "resume", "1", *there)
    assert command.wait(timeout=240) == 0
    assert [trial.status for trial in trials()] == ["completed"] * 4
    assert {trial.number for trial in trials() if trial.tries == 1} >= done - {1, 2}
    assert len(store.runs.children(1)) == 4

    # What a command of its own reaches, to the last bit.
    snapshots = store.trials.configs(1)
    for trial in trials()[::3]:
        plain = execute(read_snapshot(snapshots[trial.number]), "centralized", store=store, home=home)
        assert store.runs.get(plain).summary["test"] == store.runs.get(trial.run_id).summary["test"]
