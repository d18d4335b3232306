"""PostgreSQL that ends connections, and that is away for a while: a run goes on, and no row is lost."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import psycopg
import pytest

from shared.metrics.point import MetricPoint
from shared.tracking.store import Store

OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def point(epoch):
    return MetricPoint(stage="val", name="loss", value=1 / epoch, epoch=epoch)


def begin(store):
    return store.runs.create(name="x", training_mode="centralized", config={}, seed=1)


def epochs(store, run_id):
    return [row.epoch for row in store.metrics.of_run(run_id)]


@pytest.mark.attack
def test_connections_that_are_ended_cost_no_row(postgres_url, tmp_path):
    ended = threading.Event()

    def end_all():
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            while not ended.wait(0.01):
                connection.execute(OTHERS)

    with Store(postgres_url) as store:
        run_id = begin(store)
        with store.record(run_id, journals=tmp_path):
            thread = threading.Thread(target=end_all)
            thread.start()
            try:
                for epoch in range(1, 41):
                    store.metrics.sink(run_id).add([point(epoch)])
                    time.sleep(0.02)
            finally:
                ended.set()
                thread.join()
            store.runs.finish(run_id, "completed")
        assert epochs(store, run_id) == list(range(1, 41))
        assert store.runs.get(run_id).status == "completed"
        store.runs.delete(run_id)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def cluster(tmp_path_factory):
    """A server of its own, that can be stopped and started."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs or os.geteuid() != 0:
        text = "no programs of PostgreSQL, or not root"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    folder = Path("/tmp") / f"fedtwin-cluster-{os.getpid()}"  # pytest's folders are closed to postgres
    folder.mkdir()
    shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(*command):
        subprocess.run(
            ["su", "postgres", "-c", " ".join(command)], check=True, stdout=subprocess.DEVNULL, timeout=120
        )

    data, options = f"--pgdata {folder}/data", f"-h 127.0.0.1 -p {port} -k {folder}"
    control = f"{programs[-1]}/pg_ctl {data} --wait --log {folder}/log"
    call(f"{programs[-1]}/initdb {data} --no-sync --auth trust --username postgres")

    def start():
        call(f"{control} --options '{options}' start")

    def stop():
        call(f"{control} --mode immediate stop")

    start()
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres", start, stop
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            stop()
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.attack
def test_a_restart_of_the_server_costs_no_row(cluster, tmp_path, capfd):
    url, start, stop = cluster
    with Store(url) as store:
        run_id = begin(store)
        with store.record(run_id, journals=tmp_path):
            sink = store.metrics.sink(run_id)
            sink.add([point(1)])
            stop()
            for epoch in range(2, 200):
                sink.add([point(epoch)])
            assert store.waits(run_id)
            start()
            sink.add([point(200)])
            store.runs.finish(run_id, "completed")
        assert epochs(store, run_id) == list(range(1, 201))
    assert "Connection refused" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
