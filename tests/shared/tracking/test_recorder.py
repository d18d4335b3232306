"""A database that is locked, read-only or on a full disk: rows wait, and none is lost or doubled."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time

import pytest

from shared.metrics.point import MetricPoint
from shared.runtime.errors import TrackingError
from shared.tracking.store import Store
from tests.disks import mounted, read_only

LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""
DIES = """
import os, sqlite3, sys
from pathlib import Path
from shared.metrics.point import MetricPoint
from shared.tracking.store import Store

with Store(sys.argv[1]) as store:
    store.runs.claim(1)
    with store.record(1, journals=Path(sys.argv[2])):
        if "LOCKED" in os.environ:
            lock = sqlite3.connect(os.environ["LOCKED"], isolation_level=None)
            lock.execute("BEGIN EXCLUSIVE")
        for epoch in range(1, 6):
            store.metrics.sink(1).add([MetricPoint(stage="val", name="loss", value=1 / epoch, epoch=epoch)])
            store.runs.update(1, summary={"epoch": epoch})
        if sys.argv[3] == "finish":
            try:
                store.runs.finish(1, "completed", stop_reason="early")
            except Exception as error:
                print(error, flush=True)
        os.kill(os.getpid(), 9)
"""


@pytest.fixture
def store(home):
    with Store(home.database_url) as opened:
        yield opened


def begin(store):
    return store.runs.create(name="x", training_mode="centralized", config={}, seed=1)


def point(epoch, value=1.0):
    return MetricPoint(stage="val", name="loss", value=value, epoch=epoch)


def epochs(store, run_id=1):
    return [row.epoch for row in store.metrics.of_run(run_id)]


@pytest.fixture
def locked(home):
    """Another process that holds the database's lock, until it is called again."""
    path, holders = home.root / "fedtwin.db", []

    def lock():
        holder = subprocess.Popen(
            [sys.executable, "-c", LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        holders.append(holder)
        assert holder.stdout.readline() == "locked\n"
        return release

    def release():
        for holder in holders:
            holder.communicate("")
        holders.clear()

    yield lock
    release()


def dies(home, how, **env):
    done = subprocess.run(
        [sys.executable, "-c", DIES, home.database_url, str(home.journals), how],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.attack
def test_a_lock_costs_seconds_and_no_row(store, home, locked, capfd):
    run_id = begin(store)
    with store.record(run_id, journals=home.journals):
        sink = store.metrics.sink(run_id)
        sink.add([point(1)])
        release = locked()
        began = time.monotonic()
        sink.add([point(2, float("nan"))])
        first_s = time.monotonic() - began
        for epoch in range(3, 50):
            sink.add([point(epoch)])
        store.runs.update(run_id, summary={"seen": 49})
        assert first_s < 8
        assert store.waits(run_id)
        (journal,) = home.journals.iterdir()
        assert stat.S_IMODE(journal.stat().st_mode) == 0o600
        assert epochs(store) == [1]  # readers are not locked out
        release()
        until(lambda: not store.waits(run_id))
        sink.add([point(50)])
        store.runs.finish(run_id, "completed")
        assert epochs(store) == list(range(1, 51))
        assert store.runs.get(run_id).summary["seen"] == 49
    assert not list(home.journals.iterdir())
    said = capfd.readouterr().err
    assert re.search(r"run 1: cannot use the tracking database .*: it is locked by another process", said)
    assert "Rows wait in" in said
    assert "the tracking database is back: what waited is written (49 changes)" in said


@pytest.mark.attack
@pytest.mark.parametrize("how", ["train", "finish"])
def test_a_run_that_is_killed_while_rows_wait_loses_none(store, home, how):
    begin(store)
    done = dies(home, how, LOCKED=str(home.root / "fedtwin.db"), FEDTWIN_DATABASE_WAIT_S="0.1")
    assert epochs(store) == []
    assert len(list(home.journals.iterdir())) == 1
    for _ in range(2):
        store.runs.settle(home.journals)
        assert epochs(store) == [1, 2, 3, 4, 5]
        run = store.runs.get(1)
        assert run.summary["epoch"] == 5
        if how == "finish":
            assert (run.status, run.stop_reason) == ("completed", "early")
            assert "and the next fedtwin command in this home writes it" in done.stdout
        else:
            assert (run.status, run.stop_reason) == ("failed", "interrupted")
    assert not list(home.journals.iterdir())


def test_the_journal_of_a_living_process_and_of_another_database_are_left_alone(store, home):
    run_id = begin(store)
    home.journals.mkdir()
    other = home.journals / "run-1-20200101T000000-1.jsonl"
    other.write_bytes(b'{"run": 1, "started": "2020-01-01T00:00:00+00:00"}\n{"summary": {"a": 1}}\n\0\0')
    with store.record(run_id, journals=home.journals):
        (mine,) = set(home.journals.iterdir()) - {other}
        with Store(home.database_url) as viewer:
            viewer.runs.settle(home.journals)
        subprocess.run(
            [sys.executable, "-m", "fedtwin", "runs"], check=True, capture_output=True, cwd=home.root
        )
        assert mine.exists()
    assert list(home.journals.iterdir()) == [other]


@pytest.mark.attack
def test_a_full_disk_says_why_a_run_failed_before_and_after_there_is_room(tmp_path):
    with mounted(tmp_path / "disk", megabytes=3) as disk:
        url, journals = f"sqlite:///{disk / 'fedtwin.db'}", disk / "journals"
        code = (
            "import sys; from pathlib import Path; from shared.tracking.store import Store\n"
            "from tests.disks import fill; store = Store(sys.argv[1])\n"
            "store.runs.create(name='x', training_mode='centralized', config={}, seed=1)\n"
            "with store.record(1, journals=Path(sys.argv[2])):\n"
            "    fill(Path(sys.argv[3]))\n"
            "    for i in range(400): store.runs.update(1, summary={'x': 'y' * 100})\n"
            "    store.runs.finish(1, 'failed', error='DiskError: the disk is full')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, url, str(journals), str(disk)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "its disk is full" in done.stderr, done.stderr
        with Store(url) as store:
            store.runs.settle(journals)
            (run,) = store.runs.search(status="failed")
            assert (run.error, store.runs.search(status="running")) == ("DiskError: the disk is full", [])
            assert len(list(journals.iterdir())) == 1
        (disk / "filler").unlink()
        with Store(url) as store:
            store.runs.settle(journals)
            assert store.runs.get(1).error == "DiskError: the disk is full"
        assert not list(journals.iterdir())


@pytest.mark.attack
@pytest.mark.parametrize("killed", [False, True])
def test_a_read_only_home_shows_its_runs(store, home, killed):
    run_id = begin(store)
    store.metrics.add(run_id, [point(1)])
    if killed:  # its rows are in SQLite's log
        dies(home, "train")
        store.close()
        for path in home.root.glob("*-shm"):
            path.unlink()
    else:
        store.runs.finish(run_id, "completed")
        store.close()
    with read_only(home.root), Store(home.database_url) as viewer:
        viewer.runs.settle(home.journals)
        assert [run.id for run in viewer.runs.search()] == [1]
        assert epochs(viewer)[0] == 1
        with pytest.raises(TrackingError, match=r"can only be read: its disk is read-only.*set FEDTWIN_HOME"):
            viewer.runs.rename(1, "y")
    with Store(home.database_url) as again:
        again.runs.rename(1, "y")
