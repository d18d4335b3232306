"""Jobs on a real Dask scheduler: trained in processes of its worker, cancelled, ended without heartbeats."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from distributed import LocalCluster

from service.jobs.dask_attempt import DaskAttempt, DaskCluster, connect
from shared.runtime.errors import ConfigError
from shared.tracking.fence import Fence
from tests.job_kit import submit
from tests.service.jobs.test_worker import SLEEPS, STUBBORN, begun, ended, log, wait_for, working


@pytest.fixture
def dask(home) -> Iterator[Any]:
    """A client of a scheduler with one worker, a process with the home of the test."""
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50, "host": "127.0.0.1"}
    with LocalCluster(n_workers=1, threads_per_worker=1, **quiet) as cluster:
        client = connect(cluster.scheduler_address)
        try:
            yield client
        finally:
            client.close()


def pids(text: str) -> list[int]:
    return [int(word) for line in text.splitlines() if line.startswith("begun") for word in line.split()[1:]]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_job_is_trained_cancelled_and_tried_again_there(store, home, dask):
    first = submit(store)
    with working(store, home, SLEEPS, backend=DaskCluster(dask)):
        begun(home, first)
        (worker,) = store.workers.search()
        assert (worker.backend, worker.cluster["nodes"], worker.cluster["cpus"]) == ("dask", 1, 1)
        store.jobs.cancel(first)
        row = ended(store, first)
        assert (row.status, row.attempt) == ("cancelled", 1)
    stubborn = submit(store)
    with working(store, home, STUBBORN, backend=DaskCluster(dask), grace_s=0.5):
        begun(home, stubborn)
        store.jobs.cancel(stubborn)
        assert ended(store, stubborn).status == "cancelled"
        assert len(pids(log(home, stubborn))) == 2
        wait_for(lambda: not any(map(is_alive, pids(log(home, stubborn)))))
    failing = submit(store)
    with working(store, home, "raise SystemExit(7)", backend=DaskCluster(dask)):
        row = ended(store, failing)
        assert (row.status, row.error_code, "exit status 7" in row.error) == ("failed", "process_died", True)
    lost = submit(store)
    with working(store, home, SLEEPS, backend=DaskCluster(dask)):
        begun(home, lost)
        pid = next(iter(dask.run(os.getpid).values()))
        os.kill(pid, 9)  # the Dask worker; its nanny starts another one, on which Dask runs the task again
        row = ended(store, lost)
        assert (row.status, row.error_code, row.attempt) == ("failed", "process_died", 1)
        assert log(home, lost).count("begun") == 1


def test_without_heartbeats_it_ends(store, home, dask):
    attempt = DaskAttempt(Fence(1, 1), client=dask, silence_s=1.0, grace_s=0.5, command=("-c", SLEEPS))
    begun(home, 1)
    until = time.monotonic() + 20
    while attempt.returncode is None and time.monotonic() < until:
        time.sleep(0.1)
    assert attempt.returncode == 143
    assert "the worker of this job is gone" in log(home, 1)
    attempt.kill()


def test_a_scheduler_that_is_not_there_is_named():
    for address in ("tcp://127.0.0.1:9", "nowhere"):
        with pytest.raises(ConfigError, match="expected an address such as tcp://host:8786"):
            connect(address)
