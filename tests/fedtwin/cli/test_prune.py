"""``fedtwin prune``: what goes, what stays and why, and that nothing is done unless it is asked for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.read.series import run_series
from shared.data.cache import open_entry
from shared.metrics.point import MetricPoint
from shared.tracking import points
from shared.tracking.access_tables import audit
from shared.tracking.rows import INTERRUPTED
from shared.tracking.schema import run
from shared.tracking.store import Store
from shared.tracking.tenants import DEFAULT


@pytest.fixture
def old(home, store):
    """Old runs: 1, 2 with a tag, 3 resumable, a comparison 4 with 5; a new one, 6; and 7, which lives."""

    def new(status="completed", *, days=100, parent=None, mode="centralized", **more):
        run_id = store.runs.create(name="r", training_mode=mode, config={}, seed=1, parent_id=parent)
        store.metrics.add(run_id, [MetricPoint("val", "loss", 0.5, epoch=epoch) for epoch in (1, 2)])
        store.runs.finish(run_id, status, **more)
        ended = datetime.now(UTC) - timedelta(days=days)
        with store.database.write() as connection:
            connection.execute(sa.update(run).where(run.c.id == run_id).values(ended=ended))
        home.run_dir(run_id).mkdir(parents=True)
        (home.run_dir(run_id) / "best.ckpt").write_bytes(b"x" * 2_000_000)
        return run_id

    new("failed")
    store.runs.tag(new(), add=["paper"])
    new("failed", stop_reason=INTERRUPTED)
    new(parent=new(mode="compare"))
    new(days=1)
    store.runs.create(name="alive", training_mode="centralized", config={}, seed=1)
    return home


def ids(store):
    return [one.id for one in store.runs.search()][::-1]


def test_nothing_is_done_unless_it_is_asked_for(fedtwin, store, old):
    code, out, _ = fedtwin("prune", "--older-than", "90d")
    assert code == 0
    assert out.splitlines() == [
        "run 1  r  (failed)  2 rows, 2.0 MB of files",
        "run 2  r  (completed)  2 rows, 2.0 MB of files  stays: run 2 has tags (paper): "
        "fedtwin tag 2 --remove ...",
        "run 3  r  (failed)  2 rows, 2.0 MB of files  stays: run 3 can be resumed: fedtwin resume 3",
        "run 4 with 5  r  (completed)  4 rows, 4.0 MB of files",
        "2 of 4 would be deleted: 6 rows, 6.0 MB of files",
        "nothing was changed; with --yes it is done",
    ]
    assert ids(store) == [1, 2, 3, 4, 5, 6, 7]


def test_runs_go_with_their_files(fedtwin, store, old):
    code, out, _ = fedtwin("prune", "--older-than", "90d", "--yes")
    assert code == 0
    assert out.splitlines()[-2:] == [
        "the database file keeps its size, as run 7 uses it; new rows take the space",
        "deleted 2: 6 rows, 0.0 MB of the database, 6.0 MB of files",
    ]
    assert ids(store) == [2, 3, 6, 7]
    assert sorted(path.name for path in (old.root / "runs").iterdir()) == ["2", "3", "6"]
    assert store.metrics.of_run(1) == []


@pytest.mark.parametrize(
    ("conditions", "going"),
    [
        (("--status", "failed"), ["run 1 "]),
        (("--keep-last", "2"), ["run 1 ", "run 4 with 5 "]),
        (("--keep-last", "9"), []),
        (("--status", "completed", "--keep-last", "0"), ["run 4 with 5 ", "run 6 "]),
    ],
)
def test_a_run_must_meet_all_conditions(fedtwin, old, conditions, going):
    code, out, _ = fedtwin("prune", *conditions)
    assert code == 0
    listed = [line for line in out.splitlines() if line.startswith("run ") and "  stays: " not in line]
    assert [line.partition(" r ")[0] for line in listed] == going


def test_a_living_run_stays(fedtwin, store, old):
    _, out, _ = fedtwin("prune", "--keep-last", "0", "--yes")
    assert "run 7  alive  (running)  0 rows, 0.0 MB of files  stays: run 7 is running" in out.splitlines()
    assert ids(store) == [2, 3, 7]


def test_what_is_not_said_is_asked_for(fedtwin, old):
    code, _, error = fedtwin("prune", "--yes")
    assert (code, "say which runs: --older-than 90d" in error) == (2, True)
    code, _, error = fedtwin("prune", "--older-than", "90")
    assert (code, "expected an age such as 90d" in error) == (2, True)


def test_what_a_kill_left_is_found(fedtwin, store, old):
    store.runs.delete(1)  # as by a prune that was killed before the files
    code, out, _ = fedtwin("prune", "--leftovers")
    assert (code, out.splitlines()[0]) == (0, f"{old.run_dir(1)}  2.0 MB")
    assert old.run_dir(1).exists()
    fedtwin("prune", "--leftovers", "--yes")
    assert not old.run_dir(1).exists()
    assert old.run_dir(2).exists()


def client_test_rows_are_thinned(fedtwin, home, store, monkeypatch):
    monkeypatch.setattr(points, "OF_CLIENTS", 16)
    run_id = store.runs.create(name="r", training_mode="federated", config={}, seed=1)
    rounds = range(1, 201)
    store.metrics.add(
        run_id,
        [
            MetricPoint(stage, "loss", (7 * at) % 31 + 0.5, round=at, client_id=client, num_examples=3)
            for at in rounds
            for client in (None, 0, 1)
            for stage in ("train", "val")
        ],
    )
    store.runs.update(run_id, summary={"test_round": 77})
    store.runs.finish(run_id, "completed")
    latest, steps = store.metrics.latest(run_id), store.series.steps(run_id)
    code, out, _ = fedtwin("prune", "--keep-last", "0", "--thin-clients", "--yes")
    assert code == 0
    kept = store.metrics.of_run(run_id)
    assert f"thinned 1: {1200 - len(kept)} rows" in out
    assert len([row for row in kept if row.client_id is None]) == 400
    assert 4 * 4 <= len([row for row in kept if row.client_id is not None]) <= 4 * 5
    assert len([row for row in kept if row.round == 77]) == 6
    assert (store.metrics.latest(run_id), store.series.steps(run_id)) == (latest, steps)
    for curve in run_series(store, store.runs.get(run_id), points=1000)["series"]:
        assert (curve["total"], min(curve["y"]), max(curve["y"])) == (200, 0.5, 30.5)
    assert fedtwin("prune", "--keep-last", "0", "--thin-clients", "--yes")[0] == 0
    assert store.metrics.of_run(run_id) == kept


# Deletes runs as `fedtwin prune` does, and dies before a run's rows, before its files, or in its transaction.
DIES = """
import os, signal, sys
import fedtwin.cli.prune as prune
from shared.tracking.runs import Runs
where, count = sys.argv.pop(1), int(sys.argv.pop(1))
def dying(call):
    def wrapped(*args, **kwargs):
        global count
        count -= 1
        if not count:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped
if where == "rows":
    Runs.delete = dying(Runs.delete)
elif where == "files":
    prune.delete_files = dying(prune.delete_files)
else:
    import sqlalchemy as sa
    statement = dying(lambda: None)
    def executing(connection, cursor, text, *more):
        if text.startswith("DELETE"):
            statement()
    sa.event.listen(sa.Engine, "before_cursor_execute", executing)
from fedtwin.cli.main import main
main()
"""


@pytest.mark.attack
@pytest.mark.parametrize(
    ("where", "count"), [("rows", 2), ("files", 1), ("files", 2), ("deletes", 1), ("deletes", 2)]
)
def test_a_kill_in_the_middle_leaves_what_can_be_used_and_pruned_on(fedtwin, store, old, where, count):
    store.close()
    line = [sys.executable, "-c", DIES, where, str(count), "prune", "--older-than", "90d", "--yes"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Store(old.database_url) as again:
        left = ids(again)
        assert {2, 3, 6, 7} <= set(left) <= {1, 2, 3, 4, 5, 6, 7}
        assert (4 in left) == (5 in left), "a comparison goes with its runs"
        assert all(len(again.metrics.of_run(one)) == 2 for one in left if one != 7)
        assert all(old.run_dir(one).is_dir() for one in left if one != 7)
        assert again.database.select(sa.text("PRAGMA integrity_check")) == [("ok",)]
    assert fedtwin("runs")[0] == 0
    assert fedtwin("prune", "--older-than", "90d", "--yes")[0] == 0
    assert fedtwin("prune", "--leftovers", "--yes")[0] == 0
    with Store(old.database_url) as again:
        assert ids(again) == [2, 3, 6, 7]
    assert {path.name for path in (old.root / "runs").iterdir()} == {"2", "3", "6"}


def test_old_entries_of_the_audit_log_go(fedtwin, store):
    for action in ("old", "new"):
        store.audit.add(DEFAULT, who="token 1 (ci)", address="127.0.0.1", action=action, status=200)
    with store.database.write() as connection:
        old = sa.update(audit).where(audit.c.action == "old")
        connection.execute(old.values(time=datetime.now(UTC) - timedelta(days=400)))
    assert "--audit takes --older-than" in fedtwin("prune", "--audit")[2]
    assert fedtwin("prune", "--audit", "--older-than", "365d")[1].startswith("1 entries of the audit log")
    assert len(store.audit.search()) == 2
    assert "deleted\n" in fedtwin("prune", "--audit", "--older-than", "365d", "--yes")[1]
    assert [row.action for row in store.audit.search()] == ["new"]


def test_cached_data_that_nobody_used_goes(fedtwin, old, monkeypatch, tmp_path):
    (old.root / "cache").unlink()  # that of other tests
    images = old.cache / "images"
    for key, days in (("0a", 100), ("0b", 1), ("0c.1234.tmp", 100)):
        (images / key).mkdir(parents=True)
        (images / key / "images.npy").write_bytes(b"x" * 3_000_000)
        then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(images / key, (then, then))
    code, out, _ = fedtwin("prune", "--cache", "--older-than", "90d")
    assert (code, len(list(images.iterdir()))) == (0, 3)
    assert out.splitlines()[0] == f"{images / '0a'}  3.0 MB"
    assert "1 cached data sets, 3.0 MB, would be deleted" in out
    assert open_entry(old.cache, key="0a", build=lambda folder: None) == images / "0a"
    assert "0 cached data sets" in fedtwin("prune", "--cache", "--older-than", "90d")[1], "it was used"
    os.utime(images / "0a", (0, 0))
    assert (
        "1 cached data sets, 3.0 MB, deleted" in fedtwin("prune", "--cache", "--older-than", "90d", "--yes")[1]
    )
    assert not (images / "0a").exists()
    assert (images / "0b").is_dir()
    for wrong in ([], ["--older-than", "1d", "--status", "failed"], ["--keep-last", "2"]):
        assert "--cache takes --older-than" in fedtwin("prune", "--cache", *wrong)[2]
    shutil.rmtree(images)
