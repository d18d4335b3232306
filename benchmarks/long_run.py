"""What a database with a million rows of metrics costs its readers; prints a Markdown table.

``python benchmarks/long_run.py`` makes the database (a run of a million rows, and a thousand smaller runs),
starts a real server, and measures the API, the page, the exports and the commands; ``--help`` lists what can be
changed.
Times are medians; memory is the peak of the process that works (the server's without the exports' client).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import psutil
from live_load import new_database, start_server
from websockets.sync.client import connect

from shared.data.profile import Profile
from shared.metrics.point import MetricPoint
from shared.tracking.rows import ClientRow
from shared.tracking.store import Store

METRICS = ("loss", "accuracy", "f1", "auroc", "learning_rate")
SAMPLE_S = 0.01
PATIENCE_S = 600.0
PAGE_QUIET_MS = 500


def main() -> None:
    """Make the database, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the long run (1,000,000)")
    parser.add_argument("--clients", type=int, default=100, help="of the long run (100)")
    parser.add_argument("--runs", type=int, default=1000, help="smaller runs, of 1,000 rows each (1,000)")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of which the median is shown (3)")
    parser.add_argument("--database", help="a PostgreSQL server; it gets a database for this run")
    parser.add_argument(
        "--home", type=Path, help="keep the SQLite database in this folder, and use what is there"
    )
    parser.add_argument("--browser", action="store_true", help="also measure the page in Chromium")
    parser.add_argument("--json", type=Path, help="also write what was measured to this file")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = options.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedtwin-long-")))
        home.mkdir(parents=True, exist_ok=True)
        url = stack.enter_context(new_database(options.database, home=home))
        environment = {**os.environ, "FEDTWIN_HOME": str(home), "FEDTWIN_DATABASE_URL": url}
        environment.pop("FEDTWIN_TOKEN", None)
        began = time.perf_counter()
        with Store(url) as store:
            if not store.runs.search(limit=1):
                for _ in range(options.runs):
                    fill(store, rounds=50, clients=1)
                rounds = max(1, round(options.rows / (options.clients + 1) / (2 * len(METRICS))))
                fill(store, rounds=rounds, clients=options.clients)
            run_id = store.runs.search(limit=1)[0].id
        measured = [("filled the database", time.perf_counter() - began, None)]
        measured += commands(environment, run_id, repeat=options.repeat)
        measured += requests(environment, run_id, repeat=options.repeat)
        if options.browser:
            measured += page(environment, run_id, repeat=options.repeat)
    print("| measured | seconds | memory |\n|---|---|---|")
    for name, seconds, memory in measured:
        print(f"| {name} | {seconds:.2f} | {'' if memory is None else f'{memory / 1e6:.0f} MB'} |")
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))


Measured = tuple[str, float, float | None]


def fill(store: Store, *, rounds: int, clients: int) -> int:
    """Add a completed run: ten metrics of each client and of the aggregate in each round; returns its id."""
    config = {
        "data": {"name": "long"},
        "model": {"name": "none"},
        "federation": {"num_rounds": rounds},
        "trainer": {"monitor": "val/accuracy", "mode": "max"},
    }
    run_id = store.runs.create(name="long", training_mode="federated", config=config, seed=1)
    store.clients.add(
        run_id,
        [
            ClientRow(run_id, number, str(number), f"client-{number}", 100, Profile(counts={}).as_dict())
            for number in range(clients)
        ],
    )
    batch: list[MetricPoint] = []
    for number in range(1, rounds + 1):
        now = datetime.now(UTC)
        for client in (*range(clients), None):
            for stage in ("train", "val"):
                epoch = 1 if stage == "train" and client is not None else None
                batch += [
                    MetricPoint(
                        stage,
                        name,
                        random.random(),
                        round=number,
                        client_id=client,
                        epoch=epoch,
                        num_examples=100,
                        time=now,
                    )
                    for name in METRICS
                ]
        if len(batch) >= 5000 or number == rounds:
            store.metrics.add(run_id, batch)
            batch = []
    store.runs.finish(run_id, "completed")
    return run_id


def commands(environment: dict[str, str], run_id: int, *, repeat: int) -> Iterator[Measured]:
    """The commands of a terminal, each in a process of its own."""
    home = Path(environment["FEDTWIN_HOME"])
    for name, arguments in (
        ("`fedtwin runs`", ("runs",)),
        ("`fedtwin show`", ("show", run_id)),
        ("`fedtwin export --format json`", ("export", run_id, "--format", "json", "--output", home / "a.json")),
        ("`fedtwin export --format csv`", ("export", run_id, "--format", "csv", "--output", home / "a.csv")),
        (
            "`fedtwin export --format parquet`",
            ("export", run_id, "--format", "parquet", "--output", home / "a.pq"),
        ),
    ):
        seconds, memory = [], []
        for _ in range(repeat):
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "fedtwin", *map(str, arguments)],
                env=environment,
                stdout=subprocess.DEVNULL,
            )
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"{name} has failed")
            seconds.append(time.perf_counter() - began)
            memory.append(1024 * used.ru_maxrss)
        yield name, statistics.median(seconds), statistics.median(memory)


def requests(environment: dict[str, str], run_id: int, *, repeat: int) -> Iterator[Measured]:
    """Requests to a server, which is started afresh for each kind, so that its peak is that of the kind."""
    base = f"/api/runs/{run_id}"
    for name, path in (
        ("GET /api/runs", "/api/runs"),
        ("GET /api/runs/ID", base),
        ("GET /api/runs/ID/series", f"{base}/series"),
        ("GET /api/runs/ID/steps", f"{base}/steps"),
        ("GET /api/compare", f"/api/compare?runs={run_id},1"),
        ("export as JSON", f"{base}/export?format=json"),
        ("export as CSV", f"{base}/export?format=csv"),
        ("export as Parquet", f"{base}/export?format=parquet"),
    ):
        with served(environment) as (address, peak):
            yield name, statistics.median(timed(partial(read, address + path)) for _ in range(repeat)), peak()
    with served(environment) as (address, peak):
        yield (
            "first frame of the stream",
            statistics.median(
                timed(lambda: first_frame(f"{address.replace('http', 'ws', 1)}/ws/runs/{run_id}"))
                for _ in range(repeat)
            ),
            peak(),
        )
    with served(environment) as (address, peak), ThreadPoolExecutor(4) as pool:
        read(f"{address}/api/runs")
        began = time.perf_counter()
        exports = [pool.submit(read, f"{address}{base}/export?format=json") for _ in range(4)]
        waits = []
        while not all(one.done() for one in exports):
            waits.append(timed(lambda: read(f"{address}/api/runs")))
        yield "four exports as JSON at once", time.perf_counter() - began, peak()
        waits.sort()
        yield "the list of runs meanwhile, median", statistics.median(waits), None
        yield "the list of runs meanwhile, longest", waits[-1], None


def page(environment: dict[str, str], run_id: int, *, repeat: int) -> Iterator[Measured]:
    """The page in Chromium: until all that is seen at first is drawn and no request is under way."""
    import shutil

    from playwright.sync_api import sync_playwright

    with served(environment) as (address, peak), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        seconds = []
        for _ in range(repeat):
            tab = browser.new_page()
            began = time.perf_counter()
            tab.goto(f"{address}/runs/{run_id}")
            tab.wait_for_selector("#clients .js-plotly-plot, #clients svg.main-svg", timeout=1000 * PATIENCE_S)
            seconds.append(time.perf_counter() - began)
            tab.close()
        browser.close()
        yield "the run's page in Chromium, its client charts drawn", statistics.median(seconds), peak()


@contextmanager
def served(environment: dict[str, str]) -> Iterator[tuple[str, Callable[[], float]]]:
    """A server; yields its address and what returns the peak of its memory so far."""
    with ExitStack() as stack:
        process, address = start_server(stack, environment)
        most, ended = 0, threading.Event()

        def look() -> None:
            nonlocal most
            while not ended.wait(SAMPLE_S):
                try:
                    most = max(most, process.memory_info().rss)
                except psutil.NoSuchProcess:
                    return

        watching = threading.Thread(target=look)
        watching.start()
        try:
            yield address, lambda: most
        finally:
            ended.set()
            watching.join()


def read(url: str) -> None:
    """Read an answer to its end, and keep nothing of it."""
    with httpx.stream("GET", url, timeout=PATIENCE_S) as answer:
        answer.raise_for_status()
        for _ in answer.iter_raw():
            pass


def first_frame(url: str) -> None:
    """Connect to a stream, from the run's first row, and read one frame."""
    with connect(url, max_size=None) as stream:
        stream.recv(timeout=PATIENCE_S)


def timed(call: Callable[[], None]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
