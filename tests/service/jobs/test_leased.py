"""Attempts on a node of a cluster, which hear of their worker by the database alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from service.jobs.attempt import LOG_FILE
from tests.job_kit import claimed, fence, submit
from tests.service.jobs.test_worker import SLEEPS, WAIT_S, begun, log

ENDS_WITH_3 = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); " + SLEEPS


def leased(attempt, *, silence_s: float, code: str = SLEEPS) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "service.jobs.leased", str(attempt), str(silence_s), "0.5", "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_it_lives_as_long_as_the_lease_is_extended(store, home):
    job_id = submit(store)
    mine = fence(claimed(store))
    with leased(mine, silence_s=2.5) as process:
        begun(home, job_id)
        until = time.monotonic() + 4
        while time.monotonic() < until:
            store.queue.heartbeat(mine)
            time.sleep(0.1)
        assert process.poll() is None
        assert process.wait(WAIT_S) == 128 + signal.SIGTERM
    assert "the worker of this job is gone" in log(home, job_id)


def test_it_ends_when_another_attempt_has_begun_and_does_not_begin_after_it(store, home):
    job_id = submit(store)
    mine = fence(claimed(store))
    with leased(mine, silence_s=600) as process:
        begun(home, job_id)
        store.queue.release(mine)
        claimed(store)
        assert process.wait(WAIT_S) == 1
        told = process.stdout.read()
    assert str(home.job_dir(job_id) / LOG_FILE) in told
    assert "error: attempt 1 of job 1 was taken over" in told
    with leased(mine, silence_s=600) as process:
        assert process.wait(WAIT_S) == 1
    assert log(home, job_id).count("--- attempt 1") == 1


def test_sigterm_ends_what_it_trains(store, home):
    job_id = submit(store)
    with leased(fence(claimed(store)), silence_s=600, code=ENDS_WITH_3) as process:
        begun(home, job_id)
        process.terminate()
        assert process.wait(WAIT_S) == 3
