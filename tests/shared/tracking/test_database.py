"""Opening the database: which URLs, what errors say, and what importing it costs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.runtime.errors import TrackingError
from shared.tracking.store import Store


def new_run(store, name="one"):
    return store.runs.create(name=name, training_mode="centralized", config={}, seed=1)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("fedtwin.db", "cannot be read; expected sqlite:///FILE or postgresql://"),
        ("mysql://root:hunter2@db/x", "got one that begins with mysql:"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("postgresql://user:hunter2@host:port/x", "cannot be read"),
    ],
)
def test_urls_that_are_refused(url, says):
    with pytest.raises(TrackingError) as caught:
        Store(url)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://someone:hunter2@127.0.0.1:1/nowhere",
        "postgres://someone:hunter2@127.0.0.1:1/nowhere",
        "postgresql+psycopg://someone@127.0.0.1:1/nowhere?password=hunter2",
    ],
)
def test_a_server_that_is_not_there(url):
    with Store(url) as store, pytest.raises(TrackingError) as caught:
        store.runs.search()
    text = str(caught.value)
    assert "cannot use the tracking database postgresql+psycopg://someone" in text
    assert "127.0.0.1:1/nowhere" in text
    assert "check that the server runs" in text
    assert "hunter2" not in text + repr(store)


def test_a_folder_that_is_not_there(tmp_path):
    with (
        Store(f"sqlite:///{tmp_path}/no/x.db") as store,
        pytest.raises(TrackingError, match="folder must exist"),
    ):
        store.runs.search()


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 1000)
    with Store(f"sqlite:///{path}") as store, pytest.raises(TrackingError, match="not a database"):
        store.runs.search()
    assert path.read_text().startswith("dear diary")


def test_nothing_is_opened_before_it_is_used(tmp_path):
    with Store(f"sqlite:///{tmp_path}/x.db") as store:
        assert list(tmp_path.iterdir()) == []
        store.runs.search()
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]


def test_a_relative_file_stays_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store("sqlite:///x.db")
    monkeypatch.chdir("/")
    store.runs.search()
    store.close()
    assert (tmp_path / "x.db").is_file()
    assert store.runs.search() == []  # a closed store opens again
    store.close()


def test_a_file_that_is_taken_away_is_not_made_anew(tmp_path):
    path = tmp_path / "x.db"
    with Store(f"sqlite:///{path}") as store:
        run_id = new_run(store)
        moved = path.rename(tmp_path / "away.db")
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"x.db{suffix}").rename(tmp_path / f"away.db{suffix}")
        for _ in range(2):
            with pytest.raises(TrackingError, match=r"is gone: its file was removed or moved .* put it back"):
                store.runs.search()
        assert not path.exists()
        with pytest.raises(TrackingError, match="is gone"):
            store.runs.update(run_id, summary={"lost": True})
        moved.rename(path)
        for suffix in ("-wal", "-shm"):
            found = tmp_path / f"away.db{suffix}"
            if found.exists():
                found.rename(tmp_path / f"x.db{suffix}")
        assert [row.id for row in store.runs.search()] == [run_id]


def test_another_file_in_its_place_is_what_counts(tmp_path):
    path = tmp_path / "x.db"
    with Store(f"sqlite:///{path}") as store:
        new_run(store)
        for old in tmp_path.iterdir():
            old.unlink()
        with Store(f"sqlite:///{path}") as other:
            new_run(other, name="the other")
        assert [row.name for row in store.runs.search()] == ["the other"]


def test_sqlite_is_durable_and_shared(tmp_path):
    with Store(f"sqlite:///{tmp_path}/x.db") as store, store._database.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_migrating_leaves_logging_alone(tmp_path):
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("alembic").handlers)
    kept = logging.getLogger("someone")
    with Store(f"sqlite:///{tmp_path}/x.db") as store:
        store.runs.search()
    assert (root.level, list(root.handlers), logging.getLogger("alembic").handlers) == before
    assert not kept.disabled


def test_importing_the_store_is_light():
    heavy = {"torch", "lightning", "torchmetrics", "pandas", "pyarrow", "numpy", "alembic", "rich", "psycopg"}
    code = f"import sys, shared.tracking.store; print(sorted({heavy!r} & set(sys.modules)))"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
