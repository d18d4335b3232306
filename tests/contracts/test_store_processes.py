"""The contract of `Store` among processes: none loses a row, blocks another, or is gone unnoticed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import ExitStack
from datetime import timedelta

import pytest
import sqlalchemy as sa

from shared.tracking.point_rows import insert_points
from shared.tracking.schema import run
from shared.tracking.store import Store
from shared.tracking.transaction import change_run
from tests.contracts.store_workers import NOON, new_run, point, worker


def execute(store: Store, statement) -> None:
    with store._database.write() as connection:
        connection.execute(statement)


@pytest.mark.attack
class TestOrphans:
    def test_a_run_whose_process_ended_is_closed(self, store, database_url):
        mine = new_run(store)
        with worker("begin_and_vanish", database_url) as process:
            theirs = int(process.stdout.readline())
        assert store.runs.get(theirs).status == "running"
        assert store.runs.close_orphans() == [theirs]
        row = store.runs.get(theirs)
        assert (row.status, row.error) == ("failed", f"process {row.pid} on {row.host} is gone")
        assert store.runs.get(mine).status == "running"
        assert store.runs.close_orphans() == []

    def test_a_reused_pid_is_another_process(self, store):
        run_id, pending = new_run(store), new_run(store, status="pending")
        execute(store, sa.update(run).values(pid_started=run.c.pid_started - 1))
        assert store.runs.close_orphans() == [run_id, pending]

    def test_other_machines_are_left_alone(self, store):
        run_id = new_run(store)
        execute(store, sa.update(run).values(host="elsewhere", pid=2**22 + 1))
        assert store.runs.close_orphans() == []
        assert store.runs.get(run_id).status == "running"

    def test_a_reboot_ends_runs_of_a_local_file_only(self, store, database_url):
        run_id = new_run(store)
        execute(store, sa.update(run).values(boot_id="another"))
        assert store.runs.close_orphans() == ([run_id] if database_url.startswith("sqlite") else [])

    def test_a_process_in_another_pid_namespace_is_left_alone(self, store, database_url):
        """Such as a container on the host's network, which has its name."""
        mine = new_run(store)
        code = f"from shared.tracking.store import Store; print(Store({database_url!r}).runs.close_orphans())"
        there = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
        done = subprocess.run(there, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode and "unshare failed" in done.stderr:
            pytest.skip("PID namespaces are not permitted here")
        assert done.stdout == "[]\n", done.stderr
        assert store.runs.get(mine).status == "running"

    def test_ended_at_the_last_sign_of_life(self, store):
        run_id = new_run(store)
        began = store.runs.get(run_id).started
        store.metrics.add(run_id, [point(epoch=1, time=began + timedelta(microseconds=7)), point(time=NOON)])
        execute(store, sa.update(run).values(pid_started=0))
        store.runs.close_orphans()
        assert store.runs.get(run_id).seconds == 7e-6

    def test_an_owner_that_is_gone_already(self, store):
        run_id = new_run(store)
        with subprocess.Popen(["true"]) as process:
            process.wait()
        store.runs.set_owner(run_id, process.pid)
        assert store.runs.close_orphans() == [run_id]

    def test_a_zombie_is_gone(self, store):
        run_id = new_run(store)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            store.runs.set_owner(run_id, process.pid)
            assert store.runs.close_orphans() == []
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert store.runs.close_orphans() == [run_id]


@pytest.mark.attack
class TestProcesses:
    def test_concurrent_writers_lose_nothing_and_a_reader_misses_nothing(self, store, database_url):
        run_id = new_run(store)
        seen = []

        def look() -> None:
            seen.extend(store.metrics.of_run(run_id, after=seen[-1].id if seen else 0))

        with ExitStack() as stack:
            started = [worker("write_batches", database_url, run_id, client) for client in range(3)]
            writers = [stack.enter_context(one) for one in started]
            while any(writer.poll() is None for writer in writers):
                look()
                time.sleep(0.005)
        look()
        expected = {(client, batch, epoch) for client in range(3) for batch in range(20) for epoch in range(30)}
        assert {(row.client_id, row.round, row.epoch) for row in seen} == expected
        assert seen == store.metrics.of_run(run_id)

    def test_ids_of_a_run_become_visible_in_their_order(self, store):
        run_id, other = new_run(store), new_run(store)
        second = threading.Thread(target=store.metrics.add, args=(run_id, [point(epoch=2)]))
        with change_run(store._database, run_id) as (connection, _):
            insert_points(connection, run_id, [point(epoch=1)])
            second.start()  # takes a greater id; were it visible now, a reader would never see the smaller one
            second.join(timeout=0.3)
            assert store.metrics.of_run(run_id) == []
        second.join()
        assert [row.epoch for row in store.metrics.of_run(run_id)] == [1, 2]
        assert store.metrics.add(other, [point()]) == 1

    def test_what_was_acknowledged_survives_a_kill(self, store, database_url):
        run_id = new_run(store)
        with worker("write_and_acknowledge", database_url, run_id, code=-signal.SIGKILL) as process:
            acknowledged = [process.stdout.readline() for _ in range(25)]
            process.kill()
            acknowledged += [line for line in process.stdout if line.endswith("\n")]
        stored = [(row.round, row.epoch) for row in store.metrics.of_run(run_id)]
        promised = [(int(batch), epoch) for batch in acknowledged for epoch in range(40)]
        assert len(promised) >= 25 * 40
        assert stored[: len(promised)] == promised
        assert len(stored) % 40 == 0  # the last batch is there or not, never a part of it

    def test_first_use_by_many_at_once(self, database_url):
        with ExitStack() as stack:
            starters = [stack.enter_context(worker("first_use", database_url)) for _ in range(4)]
            assert [one.stdout.readline() for one in starters] == ["ready\n"] * 4
            for one in starters:
                print(file=one.stdin, flush=True)
            made = {int(one.stdout.readline()) for one in starters}
        assert len(made) == 4
        with Store(database_url) as store:
            assert {row.id for row in store.runs.search()} == made

    def test_a_fork_inherits_no_connection(self, store):
        run_id = new_run(store)
        store.metrics.add(run_id, [point(epoch=0)])
        fork = multiprocessing.get_context("fork")
        child = fork.Process(target=lambda: store.metrics.add(run_id, [point(epoch=e) for e in range(1, 5)]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, from Python 3.12
            child.start()
        store.metrics.add(run_id, [point(epoch=e) for e in range(5, 9)])
        child.join()
        assert child.exitcode == 0
        child.close()
        assert {row.epoch for row in store.metrics.of_run(run_id)} == set(range(9))

    def test_threads_share_a_store(self, database_url):
        failures = []

        def work(number: int) -> None:
            try:
                run_id = new_run(store)
                store.metrics.add(run_id, [point(epoch=number)])
            except Exception as error:
                failures.append(error)

        with Store(database_url) as store:
            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failures == []
            assert len(store.runs.search()) == 8
