"""``fedtwin simulate`` as a user types it: it ends, is stopped, is killed, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from shared.config.stored import read_snapshot
from shared.tracking.store import Store
from tests.e2e.round_kit import WAIT_S, wait_for_round
from tests.e2e.same_run_kit import last_weights, serve_here

Command = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
REPOSITORY = Path(__file__).resolve().parents[2]
ROUNDS = 12  # long enough to be killed in the middle
LONG = [f"federation.num_rounds={ROUNDS}", "federation.workers=2"]


@pytest.fixture
def database(home: Path) -> Path:
    return home / "fedtwin.db"


@contextmanager
def started(environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "fedtwin", "simulate", *LONG],
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate(timeout=WAIT_S)


def workers_at_round(number: int, database: Path, child: subprocess.Popen[str]) -> list[psutil.Process]:
    """The workers, as soon as a round is done."""
    wait_for_round(database, number, child=child)
    return psutil.Process(child.pid).children()


@pytest.mark.attack
def test_killed_in_the_middle_it_leaves_no_process_and_resumes_to_the_same_weights(
    fedtwin: Command, environment: dict[str, str], home: Path, database: Path, tmp_path: Path
) -> None:
    with started(environment, tmp_path) as child:
        workers = workers_at_round(2, database, child)
        assert len(workers) == 2
        child.kill()
        gone, alive = psutil.wait_procs(workers, timeout=30)
        assert (len(gone), alive) == (2, [])
    resumed = fedtwin("resume", "1")
    assert resumed.returncode == 0, resumed.stderr
    with Store(f"sqlite:///{database}") as store:
        run = store.runs.get(1)
        assert run.status == "completed"
        assert [row.round for row in store.rounds.of_run(1)] == list(range(1, ROUNDS + 1))
    assert last_weights(home / "runs" / "1") == serve_here(read_snapshot(run.config), tmp_path)


@pytest.mark.attack
def test_a_worker_that_is_killed_costs_no_reply(
    environment: dict[str, str], database: Path, tmp_path: Path
) -> None:
    with started(environment, tmp_path) as child:
        workers_at_round(2, database, child)[0].kill()
        child.communicate(timeout=WAIT_S)
        assert child.returncode == 0
    with Store(f"sqlite:///{database}") as store:
        assert store.runs.get(1).status == "completed"
        assert [len(row.replied) for row in store.rounds.of_run(1)] == [4] * ROUNDS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_its_workers(
    number: int, environment: dict[str, str], database: Path, tmp_path: Path
) -> None:
    with started(environment, tmp_path) as child:
        workers = workers_at_round(1, database, child)
        os.kill(child.pid, number)
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 130, errors
        assert "Traceback" not in errors
        assert psutil.wait_procs(workers, timeout=30)[1] == []
    with Store(f"sqlite:///{database}") as store:
        assert store.runs.get(1).status == "stopped"


def test_what_is_wrong_with_the_data_is_said_before_any_round(fedtwin: Command, database: Path) -> None:
    done = fedtwin("simulate", "partition.min_examples=5000")
    assert done.returncode == 2
    assert "partition.min_examples=5000 need 20000 training rows" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
