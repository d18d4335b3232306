"""Workers with real processes: what trains a job is kept, cancelled, given back, and ended with its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.jobs import guard
from service.jobs.attempt import LOG_FILE
from service.jobs.worker import Worker
from shared.runtime.home import Home
from shared.tracking.job_rows import JobRow
from shared.tracking.store import Store
from tests.job_kit import begun_sweep, fence, submit

WAIT_S = 60.0
SLEEPS = "import time, sys; print('begun', flush=True); time.sleep(600)"
# Ignores SIGTERM, and has a child that does so too.
STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "os.fork(); print('begun', os.getpid(), flush=True); time.sleep(600)"
)


@contextmanager
def working(store: Store, home: Home, code: str | None = None, **options) -> Iterator[Worker]:
    command = {} if code is None else {"command": ("-c", code)}
    worker = Worker(store, home=home, say=print, **{"poll_s": 0.05, **command, **options})
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(WAIT_S)
        assert not thread.is_alive()


def wait_for(what: Callable[[], object], *, wait_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + wait_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def log(home: Home, job_id: int) -> str:
    path = home.job_dir(job_id) / LOG_FILE
    return path.read_text() if path.is_file() else ""


def begun(home: Home, job_id: int) -> None:
    wait_for(lambda: "begun" in log(home, job_id))


def ended(store: Store, job_id: int, *, wait_s: float = WAIT_S) -> JobRow:
    wait_for(lambda: store.jobs.get(job_id).finished, wait_s=wait_s)
    return store.jobs.get(job_id)


def test_cancelled_while_it_runs(store, home):
    job_id = submit(store)
    with working(store, home, SLEEPS):
        begun(home, job_id)
        store.jobs.cancel(job_id)
        row = ended(store, job_id)
    assert (row.status, row.attempt, row.worker, row.lease_until) == ("cancelled", 1, None, None)


def test_what_ignores_sigterm_is_killed_with_all_that_it_began(store, home):
    job_id = submit(store)
    with working(store, home, STUBBORN, grace_s=0.3):
        wait_for(lambda: log(home, job_id).count("begun") == 2)
        pids = [int(line.split()[1]) for line in log(home, job_id).splitlines() if line.startswith("begun")]
        store.jobs.cancel(job_id)
        assert ended(store, job_id).status == "cancelled"
    wait_for(lambda: not any(alive(pid) for pid in pids))


def test_trials_of_a_sweep_that_is_killed_wait_for_a_retry(store, home):
    job_id = submit(store, mode="sweep")
    with working(store, home, STUBBORN, grace_s=0.3):
        begun(home, job_id)
        sweep_id = begun_sweep(store, fence(store.jobs.get(job_id)))
        for number in (1, 2):
            store.trials.begin(sweep_id, number, mode="centralized")
        store.trials.finish(sweep_id, 1, "completed")
        store.jobs.cancel(job_id)
        assert ended(store, job_id).status == "cancelled"
    counts = store.trials.counts([sweep_id])[sweep_id]
    assert (counts["completed"], counts["waiting"]) == (1, 3)


def test_a_worker_that_stops_gives_its_job_back(store, home):
    job_id = submit(store)
    with working(store, home, SLEEPS):
        begun(home, job_id)
    row = store.jobs.get(job_id)
    assert (row.status, row.attempt, row.lost, row.failures) == ("queued", 1, 0, 0)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
        ("raise SystemExit(7)", "exit status 7"),
    ],
)
def test_a_process_that_dies_without_a_word(store, home, code, says):
    job_id = submit(store)
    with working(store, home, code):
        row = ended(store, job_id)
    assert (row.status, row.error_code) == ("failed", "process_died")
    assert says in row.error


def test_a_training_process_has_no_tokens(store, home, monkeypatch):
    for name in ("FEDTWIN_TOKEN", "FEDTWIN_TRAIN_TOKEN"):
        monkeypatch.setenv(name, "correct-horse_battery.staple~1")
    job_id = submit(store)
    with working(store, home, "import os; print(sorted(os.environ), os.environ.values())"):
        ended(store, job_id)
    assert "FEDTWIN_JOB_ATTEMPT" in log(home, job_id)
    assert "staple" not in log(home, job_id)


def test_one_that_cannot_be_started_waits_for_another_try(store, home):
    home.job_dir(1).parent.write_text("a file in the place of the folder")
    job_id = submit(store, max_retries=3)
    with working(store, home, SLEEPS):
        wait_for(lambda: store.jobs.get(job_id).failures)
    row = store.jobs.get(job_id)
    assert (row.status, row.error_code) == ("queued", "unexpected")
    assert "jobs" in row.error


def guarded(*limits: object, code: str) -> tuple[subprocess.Popen[str], int]:
    """A guard as a worker starts it, and the worker's end of its pipe."""
    reading, writing = os.pipe()
    command = [sys.executable, guard.__file__, str(reading), *map(str, limits), sys.executable, "-c", code]
    process = subprocess.Popen(
        command, pass_fds=(reading,), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    os.close(reading)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("begun")
    return process, writing


@pytest.mark.attack
def test_training_ends_with_a_worker_that_is_killed():
    process, pipe = guarded(600, 0.2, code=STUBBORN)
    with process:
        os.close(pipe)  # what the system does for a process that is killed
        assert process.wait(WAIT_S) == -signal.SIGKILL


@pytest.mark.attack
def test_training_ends_with_a_worker_that_is_silent():
    process, pipe = guarded(0.3, 0.2, code=SLEEPS)
    with process:
        assert process.wait(WAIT_S) == 128 + signal.SIGTERM
    os.close(pipe)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_are_listed_while_they_live(store, home):
    with working(store, home, SLEEPS) as worker:
        wait_for(store.workers.search)
        (row,) = store.workers.search()
        assert (row.name, row.pid, row.state, row.job_id) == (worker.name, os.getpid(), "idle", None)
        job_id = submit(store)
        wait_for(lambda: store.workers.search()[0].state == "busy")
        assert store.workers.search()[0].job_id == job_id
        store.jobs.cancel(job_id)
        wait_for(lambda: store.workers.search()[0].state == "idle")
        assert store.workers.search()[0].since == row.since
    assert store.workers.search() == [], "one that ends by itself is not listed"


@pytest.mark.attack
def test_a_worker_that_is_killed_is_gone(store, home):
    command = [sys.executable, "-m", "fedtwin", "worker", "--lease", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_for(store.workers.search)
            assert store.workers.search()[0].state == "idle"
        finally:
            process.kill()
    wait_for(lambda: store.workers.search()[0].state == "gone")
