"""Load test of the job queue: many jobs, workers that are killed and paused; prints a table.

``python -m benchmarks.jobs [--url postgresql://...]`` takes some minutes. Each job is a process that writes
five epochs of one run with pauses between, and goes on where an earlier attempt of it ended.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg

from service.jobs.worker import Worker
from shared.metrics.point import MetricPoint
from shared.runtime.home import Home
from shared.tracking.fence import Fence, Overtaken
from shared.tracking.job_rows import PRIORITIES
from shared.tracking.jobs import NewJob
from shared.tracking.rows import FINISHED
from shared.tracking.store import Store

EPOCHS = 5
LEASE_S = 4.0


def main() -> None:
    """Run the load on one database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["worker", "attempt"], help=argparse.SUPPRESS)
    parser.add_argument("--url", default=None, help="a PostgreSQL server; default: SQLite")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--queued", type=int, default=10_000, help="for the time of a claim")
    options = parser.parse_args()
    if options.what == "attempt":
        sys.exit(attempt())
    if options.what == "worker":
        home = Home(Path(os.environ["FEDTWIN_HOME"]), os.environ["FEDTWIN_DATABASE_URL"])
        with Store(home.database_url) as store:
            command = ("-m", "benchmarks.jobs", "attempt")
            Worker(store, home=home, say=print, lease_s=LEASE_S, poll_s=0.2, command=command).run()
    print("| | |\n|---|---|")
    with tempfile.TemporaryDirectory(prefix="fedtwin-jobs-") as folder:
        for kills in sorted({0, options.kills}):
            with database(options.url, Path(folder) / str(kills)) as home, Store(home.database_url) as store:
                load(store, home, options, kills=kills)
        with database(options.url, Path(folder) / "queued") as home, Store(home.database_url) as store:
            print_times(store, options.queued)


@contextmanager
def database(server: str | None, root: Path) -> Iterator[Home]:
    root.mkdir()
    if server is None:
        yield Home(root, f"sqlite:///{root / 'fedtwin.db'}")
        return
    name = f"fedtwin_jobs_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield Home(root, f"{server.rpartition('/')[0]}/{name}")
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def load(store: Store, home: Home, options: argparse.Namespace, *, kills: int) -> None:
    for _ in range(options.jobs):
        submit(store, priority=random.choice(PRIORITIES))
    began, workers = time.monotonic(), [start(home) for _ in range(options.workers)]
    paused: subprocess.Popen[bytes] | None = None
    done = 0
    while any(not row.finished for row in store.jobs.search()):
        time.sleep(1.0)
        busy = {int(row.worker.split()[1]) for row in store.jobs.search(status="running") if row.worker}
        victims = [one for one in workers if one.pid in busy and one is not paused]
        if done >= kills or not victims:
            continue
        done += 1
        if paused is not None and done % 5 == 0:  # it was paused for longer than its lease
            paused.send_signal(signal.SIGCONT)
            paused = None
        victim = random.choice(victims)
        if done % 5 == 0:
            victim.send_signal(signal.SIGSTOP)
            paused = victim
        else:
            victim.kill()
            victim.wait()
            workers.remove(victim)
        workers.append(start(home))
    seconds = time.monotonic() - began
    for one in workers:
        one.send_signal(signal.SIGCONT)
        one.kill()
        one.wait()
    print_load(store, options, kills=kills, seconds=seconds)


def start(home: Home) -> subprocess.Popen[bytes]:
    env = {**os.environ, "FEDTWIN_HOME": str(home.root), "FEDTWIN_DATABASE_URL": home.database_url}
    command = [sys.executable, "-m", "benchmarks.jobs", "worker"]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)


def submit(store: Store, **changes: str) -> int:
    return store.jobs.submit(NewJob(mode="centralized", name="load", config={}, max_retries=3, **changes)).id


def attempt() -> int:
    fence = Fence.of_process()
    assert fence is not None
    with Store(os.environ["FEDTWIN_DATABASE_URL"]) as store:
        try:
            run_id = store.jobs.get(fence.job_id).run_id
            if run_id is None:
                run_id = store.queue.begin_run(fence, config={}, seed=1, description="")
            if store.runs.get(run_id).status != "completed":
                store.runs.claim(run_id, resume=True)
                there = {row.epoch for row in store.metrics.of_run(run_id)}
                for epoch in set(range(1, EPOCHS + 1)) - there:
                    time.sleep(0.05)
                    now = datetime.now(UTC)
                    store.metrics.add(
                        run_id, [MetricPoint(stage="val", name="loss", value=1.0, epoch=epoch, time=now)]
                    )
                store.runs.finish(run_id, "completed")
            store.queue.complete(fence)
        except Overtaken:
            return 1
    return 0


def print_load(store: Store, options: argparse.Namespace, *, kills: int, seconds: float) -> None:
    jobs = store.jobs.search()
    runs = store.runs.search()
    epochs = [[row.epoch for row in store.metrics.of_run(run.id)] for run in runs]
    whole = sum(sorted(one) == list(range(1, EPOCHS + 1)) for one in epochs)
    first = sorted((store.jobs.events(row.id)[1].id, row.priority) for row in jobs)
    late = sum(
        any(priority > own for _, priority in first[: max(0, place - options.workers)])
        for place, (_, own) in enumerate(first)
    )
    what = f"{len(jobs)} jobs, {options.workers} workers, {kills} kills and pauses, {store.kind}"
    states = ", ".join(f"{count} {state}" for state, count in Counter(row.status for row in jobs).items())
    print(f"| {what} | {states} in {seconds:.0f} s |")
    print(f"| runs, and those whose epochs are there once each | {len(runs)}, {whole} |")
    print(f"| ended runs | {sum(run.status in FINISHED for run in runs)} |")
    print(f"| attempts that were lost | {sum(row.attempt - 1 for row in jobs)} |")
    if not kills:
        print(f"| jobs that began after one of a lower priority | {late} |")


def print_times(store: Store, count: int) -> None:
    submitted = [timed(lambda: submit(store)) for _ in range(count)]
    claimed = [timed(lambda: store.queue.claim("here 1")) for _ in range(300)]
    for what, values in ((f"submitting, {count:,} times", submitted), ("a claim among them", claimed)):
        middle, high = np.percentile(values, [50, 99])
        print(f"| {what} | median {1000 * middle:.1f} ms, p99 {1000 * high:.1f} ms |")


def timed(act) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
