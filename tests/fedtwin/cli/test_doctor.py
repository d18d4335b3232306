"""``fedtwin doctor``: what it finds in homes that are as they should be, and in others."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys

import pytest
import sqlalchemy as sa

from fedtwin.cli.main import main
from shared.tracking.journal import Journal
from shared.tracking.schema import run
from tests.disks import read_only


@pytest.fixture
def doctor(monkeypatch, capsys):
    """Run it in this process: exit status, and the findings by what they are about."""

    def call():
        monkeypatch.setattr(sys, "argv", ["fedtwin", "doctor", "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        found = json.loads(capsys.readouterr().out)
        return end.value.code, {finding["what"]: finding for finding in found if finding["state"] != "ok"}

    return call


@pytest.fixture(autouse=True)
def private(home):
    home.root.chmod(0o700)


def without(found, *names):
    # Of the machine, not of the home: what is installed, and how much space there is.
    return {name for name in found if name not in ("versions", "extras", "disk", *names)}


def new(store, home, *, status="completed", files=True):
    run_id = store.runs.create(name="r", training_mode="centralized", config={}, seed=1)
    if status != "running":
        store.runs.finish(run_id, status)
    if files:
        home.run_dir(run_id).mkdir(parents=True)
    return run_id


def test_a_home_as_it_should_be(doctor, store, home):
    new(store, home)
    new(store, home, status="running")
    code, found = doctor()
    assert without(found) == set()
    assert code == any(finding["state"] == "failed" for finding in found.values())


def test_what_is_not_as_it_should_be(doctor, store, home):
    home.root.chmod(0o755)
    new(store, home, files=False)
    lost = new(store, home, status="running")
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with store.database.write() as connection:
        connection.execute(sa.update(run).where(run.c.id == lost).values(pid=process.pid, pid_started=1.0))
    home.run_dir(99).mkdir(parents=True)
    (home.cache / "images" / "abc.1234.tmp").mkdir(parents=True)
    superlink = home.root / "flower-x"
    superlink.mkdir()
    (superlink / "owner.json").write_text(json.dumps({"pid": process.pid, "started": 1.0, "run_id": 1}))
    with sqlite3.connect(home.root / "fedtwin.db") as connection:
        connection.execute("INSERT INTO metric_digest VALUES (77, 1, 1, x'00')")
    connection.close()
    try:
        _, found = doctor()
    finally:
        (home.cache / "images" / "abc.1234.tmp").rmdir()  # the cache is other tests' too
    fixes = {name: found[name]["fix"] for name in without(found)}
    assert fixes == {
        "home": f"chmod -R go-rwx {home.root}",
        "runs": f"fedtwin resume {lost}",
        "superlinks": "fedtwin runs",
        "files": "fedtwin prune --leftovers",
        "cache": f"rm -r {home.cache / 'images' / 'abc.1234.tmp'}",
        "database": f"sqlite3 {home.root / 'fedtwin.db'} "
        '"DELETE FROM TABLE WHERE run_id NOT IN (SELECT id FROM run)"',
    }
    assert store.runs.get(lost).status == "running"  # it only looks
    assert superlink.exists()


def test_journals_missing_checkpoints_and_damaged_entries(doctor, store, home):
    kept, lost = new(store, home), new(store, home, status="failed")
    for run_id, names in ((kept, ("best", "last")), (lost, ("best",))):
        (home.run_dir(run_id) / "checkpoints").mkdir()
        for name in names:
            (home.run_dir(run_id) / "checkpoints" / f"{name}.ckpt").touch()
    started = store.runs.get(kept).started.isoformat()
    for number, head in enumerate([{"run": kept, "started": started}, {"run": 77, "started": started}]):
        journal = Journal(home.journals / f"run-{number}.jsonl", head=head)
        journal.append({"change": "x"})
        journal.close(remove=False)
    entry = home.cache / "images" / "0123456789abcdef"
    entry.mkdir(parents=True)
    (entry / "seal.json").write_text("{}")
    try:
        code, found = doctor()
    finally:
        shutil.rmtree(entry)
    assert without(found) == {"checkpoints", "journals", "other journals", "cache entries"}
    assert code == any(finding["state"] == "failed" for finding in found.values())
    assert found["checkpoints"]["found"] == f"run {lost} lacks last.ckpt"
    assert found["journals"]["found"] == f"changes wait for the database: 1 of run {kept}"
    assert str(home.journals / "run-1.jsonl") in found["other journals"]["fix"]
    assert found["cache entries"]["fix"] == f"rm -r {entry}"
    assert len(list(home.journals.iterdir())) == 2, "it only looks"


def test_a_read_only_home(doctor, store, home):
    new(store, home)
    store.close()
    with read_only(home.root):
        _, found = doctor()
    assert without(found) == {"database"}
    assert "can only be read" in found["database"]["found"]


def test_a_damaged_database(doctor, store, home):
    new(store, home)
    store.close()
    (home.root / "fedtwin.db-wal").unlink(missing_ok=True)
    (home.root / "fedtwin.db").write_bytes(b"no database" * 1000)
    code, found = doctor()
    assert code == 1
    assert found["database"]["state"] == "failed"
    assert "fedtwin.db" in found["database"]["found"]
