"""The contract of `Changes`: what any process commits is noticed, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from shared.tracking import change_feed as module
from shared.tracking.change_feed import CHANNEL
from shared.tracking.rows import ClientRow
from shared.tracking.schema import run
from shared.tracking.store import Store
from tests.contracts.store_workers import NOON, new_run, point, worker
from tests.profiles import stored

NOTHING = frozenset()


@pytest.fixture
def changes(store):
    store.runs.search()
    watcher = store.changes(poll_s=0.005)
    assert watcher.wait(0) is None  # what was before is not known
    yield watcher
    watcher.close()


def noticed(database_url: str, *run_ids: int) -> frozenset[int] | None:
    """SQLite does not say of which run."""
    return None if database_url.startswith("sqlite") else frozenset(run_ids)


WHO = {"sampled": [], "replied": [], "failed": {}}
ROUND = {"began": NOON, "ended": NOON, **WHO, "bytes_down": 0, "bytes_up": 0, "seconds": 1.0}
WRITES = {
    "claim_run": lambda store, run_id: store.runs.claim(run_id),
    "set_owner": lambda store, run_id: store.runs.set_owner(run_id, 1),
    "add_metrics": lambda store, run_id: store.metrics.add(run_id, [point()]),
    "add_round": lambda store, run_id: store.rounds.add(run_id, round=1, **ROUND),
    "add_clients": lambda store, run_id: store.clients.add(
        run_id, [ClientRow(run_id, 0, "1", "a", 1, stored(1))]
    ),
    "add_server_evaluation": lambda store, run_id: store.evaluations.add(
        run_id, round=1, loss=0.5, metrics={}, confusion=None, num_examples=1
    ),
    "update_run": lambda store, run_id: store.runs.update(run_id, summary={"a": 1}),
    "finish_run": lambda store, run_id: store.runs.finish(run_id, "completed"),
}


class TestWhatIsNoticed:
    @pytest.mark.parametrize("write", WRITES)
    def test_every_write(self, store, changes, database_url, write):
        run_id = new_run(store, status="pending")
        assert changes.wait(5) == noticed(database_url, run_id)
        WRITES[write](store, run_id)
        assert changes.wait(5) == noticed(database_url, run_id)
        assert changes.wait(0.01) == NOTHING

    def test_a_run_whose_process_is_gone(self, store, changes, database_url):
        run_id = new_run(store)
        with store._database.write() as connection:
            connection.execute(sa.update(run).values(pid_started=0))
        changes.wait(5)
        assert store.runs.close_orphans() == [run_id]
        assert changes.wait(5) == noticed(database_url, run_id)

    def test_reading_is_not(self, store, changes):
        store.runs.search()
        assert changes.wait(0.01) == NOTHING

    def test_what_is_rolled_back_is_not(self, store, changes):
        run_id = new_run(store)
        changes.wait(5)
        with store._database.write() as connection:
            module.announce(connection, run_id)
            connection.execute(sa.update(run).values(name="another"))
            connection.rollback()
        assert store.runs.get(run_id).name == "digits-cnn"
        assert changes.wait(0.01) == NOTHING

    def test_what_another_process_writes_while_somebody_waits(self, store, changes, database_url):
        run_id = new_run(store)
        changes.wait(5)
        with worker("write_batches", database_url, run_id, 0):
            assert changes.wait(30) == noticed(database_url, run_id)
        assert store.metrics.cursor(run_id) > 0

    def test_all_that_happened_since_the_last_call(self, store, changes, database_url):
        one, other = new_run(store), new_run(store)
        found, seen = changes.wait(5), set()
        while found:
            seen |= found
            found = changes.wait(0.1)
        assert (found, seen) == ((None, set()) if found is None else (NOTHING, {one, other}))

    def test_two_watchers_notice_the_same(self, store, changes, database_url):
        other = store.changes(poll_s=0.005)
        other.wait(0)
        run_id = new_run(store)
        assert changes.wait(5) == other.wait(5) == noticed(database_url, run_id)
        other.close()


class TestWhenItBreaks:
    def test_closed_and_used_again(self, store, changes, database_url):
        changes.close()
        new_run(store)
        assert changes.wait(0) is None
        assert changes.wait(0.01) == NOTHING
        run_id = new_run(store)
        assert changes.wait(5) == noticed(database_url, run_id)

    def test_no_database(self, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "FALLBACK_POLL_S", 0.05)
        with Store(f"sqlite:///{tmp_path / 'missing' / 'fedtwin.db'}") as store:
            watcher = store.changes(poll_s=0.005)
            assert watcher.wait(1) is None
            began = time.monotonic()
            assert watcher.wait(0.001) == NOTHING
            assert watcher.wait(1) is None  # once a period, and not as fast as it can
            assert time.monotonic() - began > 0.01

    @pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
    def test_a_listener_that_is_cut_off_listens_again(self, store, changes, database_url, monkeypatch):
        monkeypatch.setattr(module, "FALLBACK_POLL_S", 0.05)
        with psycopg.connect(database_url, autocommit=True) as connection:
            for _ in range(2):
                connection.execute("SELECT pg_terminate_backend(%s)", [changes._driver.info.backend_pid])
                while changes.wait(1) is None:
                    pass
                assert changes._driver is not None
        run_id = new_run(store)
        assert changes.wait(5) == {run_id}

    @pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
    def test_what_strangers_tell_on_the_channel(self, changes, database_url):
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"NOTIFY {CHANNEL}, 'hello'")
            assert changes.wait(5) is None
            connection.execute(f"NOTIFY {CHANNEL}")
            assert changes.wait(5) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_another_file_in_the_place_of_the_first_is_noticed_and_followed(store, changes, database_url):
    new_run(store)
    assert changes.wait(5) is None
    path = Path(database_url.removeprefix("sqlite:///"))
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    with Store(database_url) as other:
        run_id = new_run(other)
        assert changes.wait(5) is None  # it is another file
        assert changes.wait(5) is None  # whose past is not known
        assert changes.wait(0.01) == NOTHING
        other.metrics.add(run_id, [point()])
        assert changes.wait(5) is None
