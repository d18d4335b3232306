"""``fedtwin jobs`` and ``fedtwin worker``, as they are typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from fedtwin.cli.parser import parse
from shared.tracking.job_errors import job_failure
from shared.tracking.jobs import NewJob
from tests.job_kit import claimed, fence

HOSTILE = "[red]ward[/] \x1b[2J"


@pytest.fixture
def job(store) -> int:
    return store.jobs.submit(NewJob(mode="compare", name=HOSTILE, config={"seed": 1}, priority="high")).id


def test_jobs_are_listed_and_shown(fedtwin, store, job):
    store.queue.fail(fence(claimed(store)), job_failure(ValueError(HOSTILE)))
    code, out, _ = fedtwin("jobs")
    assert code == 0
    assert [word in out for word in ("comparison", "failed", "high", "[red]ward", "\x1b[2J")] == [True] * 4 + [
        False
    ]
    code, out, _ = fedtwin("jobs", "show", str(job))
    assert code == 0
    assert all(kind in out for kind in ("submitted", "claimed", "unexpected: ValueError"))
    assert "\x1b[2J" not in out
    shown = json.loads(fedtwin("jobs", "show", str(job), "--format", "json")[1])
    assert (shown["priority"], shown["error_code"], len(shown["events"])) == ("high", "unexpected", 3)
    assert not {"config", "idempotency_key"} & shown.keys()
    assert len(json.loads(fedtwin("jobs", "list", "--status", "queued", "--format", "json")[1])) == 0


def test_one_is_cancelled_and_retried(fedtwin, store, job):
    assert fedtwin("jobs", "cancel", str(job))[:2] == (0, f"job {job} is cancelled\n")
    assert fedtwin("jobs", "retry", str(job))[:2] == (0, f"job {job} is queued again\n")
    row = claimed(store)
    assert fedtwin("jobs", "cancel", str(job))[:2] == (
        0,
        f"job {job} is being cancelled; its worker stops it\n",
    )
    store.queue.cancelled(fence(row))
    code, _, err = fedtwin("jobs", "cancel", "99")
    assert (code, "there is no job 99" in err) == (2, True)


@pytest.mark.parametrize(
    ("given", "says"),
    [(["show"], "needs a job"), (["list", "3"], "takes no job"), (["cancel"], "needs a job")],
)
def test_a_job_must_be_named_where_one_is_meant(fedtwin, home, given, says):
    code, _, err = fedtwin("jobs", *given)
    assert (code, says in err) == (2, True)


@pytest.mark.parametrize(
    "given",
    [["jobs", "show", "x"], ["jobs", "stop", "1"], ["worker", "--lease", "0"], ["worker", "--lease", "nan"]],
)
def test_what_is_no_number_is_refused_in_words(given, capsys):
    with pytest.raises(SystemExit):
        parse(given)
    assert "expected" in (told := capsys.readouterr().err) or "choose from" in told


def test_a_worker_ends_with_ctrl_c(home):
    command = [sys.executable, "-m", "fedtwin", "worker"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        assert "waiting for jobs" in it.stdout.readline()
        it.send_signal(signal.SIGINT)
        assert it.wait(60) == 130
        assert it.stderr.read() == "stopped\n"


def test_an_attempt_outside_of_a_worker_says_so(home):
    command = [sys.executable, "-m", "fedtwin.attempt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "start one with `fedtwin worker`" in done.stderr) == (2, True)
