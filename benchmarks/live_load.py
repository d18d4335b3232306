"""Load test of the live stream: a real server, a writer and many viewers; prints a Markdown table.

``python benchmarks/live_load.py`` takes about a minute; ``--help`` lists what can be changed. A delay begins
before a transaction does (at the time of its rows) and ends when a viewer has the row: it contains the commit.
Everything runs on this machine, and the viewers take their share of its cores.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg
from load_report import markdown
from load_stalled import Stalled

from shared.tracking.store import Store

HERE = Path(__file__).parent
READY_S = 120.0
END_S = 60.0
SAMPLE_S = 0.25
STALL_AFTER = 0.2  # of the run
CONFIG = {
    "data": {"name": "load"},
    "model": {"name": "none"},
    "trainer": {"monitor": "val/accuracy", "mode": "max"},
}


def main() -> None:
    """Run, print the table, and exit with 1 if a row was missed or came twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--viewers", type=int, default=1000, help="that read (1000)")
    parser.add_argument("--stalled", type=int, default=5, help="viewers besides that stop reading (5)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long rows are written (30)")
    parser.add_argument("--rate", type=float, default=2.0, help="updates a second (2)")
    parser.add_argument("--rows", type=int, default=20, help="rows of an update (20)")
    parser.add_argument("--processes", type=int, default=1, help="that hold the viewers (1)")
    parser.add_argument(
        "--database", help="a PostgreSQL server; it gets a database for this run (without: SQLite)"
    )
    parser.add_argument("--browser", action="store_true", help="also measure a page in Chromium")
    parser.add_argument("--json", type=Path, help="also write what was measured to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedtwin-load-") as home, ExitStack() as stack:
        url = stack.enter_context(new_database(options.database, home=Path(home)))
        measured = measure(options, database_url=url, home=Path(home))
    print(markdown(measured))
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))
    sys.exit(1 if measured["viewers"]["missed"] or measured["viewers"]["repeated"] else 0)


@contextmanager
def new_database(server: str | None, *, home: Path) -> Iterator[str]:
    """A database for one run.

    Parameters
    ----------
    server : str, optional
        URL of a PostgreSQL database from which another one can be made.

    Yields
    ------
    str
        Its URL.
    """
    if server is None:
        yield f"sqlite:///{home / 'fedtwin.db'}"
        return
    name = f"fedtwin_load_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{server.partition('?')[0].rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def measure(options: argparse.Namespace, *, database_url: str, home: Path) -> dict[str, Any]:
    """Write, watch and measure.

    Parameters
    ----------
    options : Namespace
        As parsed by `main`.

    Returns
    -------
    dict
        In JSON's types.
    """
    updates = math.ceil(options.rate * options.seconds)
    total = updates * options.rows
    with Store(database_url) as store:
        config = {**CONFIG, "federation": {"num_rounds": updates}}
        run_id = store.runs.create(
            name="load", training_mode="federated", config=config, seed=1, status="pending"
        )
    environment = {**os.environ, "FEDTWIN_HOME": str(home), "FEDTWIN_DATABASE_URL": database_url}
    environment.pop("FEDTWIN_TOKEN", None)
    with ExitStack() as stack:
        server, address = start_server(stack, environment)
        viewers = start_viewers(stack, options, address=address, run_id=run_id, total=total)
        browser = start_browser(stack, options, address=address, run_id=run_id, last=total)
        for process in [*viewers, *browser]:
            wait_for("ready", process)
        stalled = Stalled(address, path=f"/ws/runs/{run_id}")
        stack.callback(stalled.close)
        cpu, began = cpu_seconds(server), time.monotonic()
        writer = start(
            stack,
            "load_writer.py",
            *("--database", database_url, "--run", run_id, "--updates", updates),
            *("--rows", options.rows, "--rate", options.rate),
        )
        memory = 0
        while writer.poll() is None or (stalled.open and time.monotonic() < began + options.seconds + 10):
            if not stalled.began and time.monotonic() > began + STALL_AFTER * options.seconds:
                stalled.begin(options.stalled)
            stalled.look(SAMPLE_S)
            memory = max(memory, server.memory_info().rss)
        written = result(writer)
        seen = [result(process) for process in viewers]
        seconds = time.monotonic() - began
        used = cpu_seconds(server) - cpu
        notes = [result(process) for process in browser]
    with Store(database_url) as store:
        rows = [(row.id, row.time.timestamp()) for row in store.metrics.of_run(run_id)]
    assert len(rows) == total, "the writer did not write all rows"
    return {
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "settings": {
            "database": "SQLite" if database_url.startswith("sqlite") else "PostgreSQL",
            **{
                name: getattr(options, name)
                for name in ("viewers", "stalled", "seconds", "rate", "rows", "processes")
            },
        },
        "writer": written,
        "viewers": {
            **{name: sum(one[name] for one in seen) for name in ("missed", "repeated", "dropped", "cpu_s")},
            "delay_ms": summary([delay for one in seen for delay in one["delays_ms"]]),
        },
        "stalled": {"dropped_after_s": stalled.dropped_after_s, "left": stalled.open},
        "server": {"cpu_s": used, "cpu_share": used / seconds, "memory_bytes": memory},
        "browser": in_browser(notes[0], rows) if notes else None,
        "seconds": seconds,
    }


def start_server(stack: ExitStack, environment: dict[str, str]) -> tuple[psutil.Process, str]:
    """``fedtwin serve`` on a free port, and its address."""
    command = [sys.executable, "-m", "fedtwin", "serve", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    stack.callback(end, process)
    line = wait_for("live page: ", process)
    return psutil.Process(process.pid), line.removeprefix("live page: ").rstrip("/")


def start_viewers(
    stack: ExitStack, options: argparse.Namespace, *, address: str, run_id: int, total: int
) -> list[subprocess.Popen[str]]:
    """The processes that hold the viewers."""
    shares = [len(share) for share in np.array_split(range(options.viewers), options.processes) if len(share)]
    url = f"{address.replace('http', 'ws', 1)}/ws/runs/{run_id}"
    return [
        start(stack, "load_viewers.py", "--url", url, "--viewers", share, "--total", total) for share in shares
    ]


def start_browser(
    stack: ExitStack, options: argparse.Namespace, *, address: str, run_id: int, last: int
) -> list[subprocess.Popen[str]]:
    """The process that holds Chromium, if one is asked for."""
    if not options.browser:
        return []
    url = f"{address}/runs/{run_id}"
    return [start(stack, "load_browser.py", "--url", url, "--last", last, "--seconds", options.seconds)]


def start(stack: ExitStack, script: str, *arguments: object) -> subprocess.Popen[str]:
    """One of the other programs of this folder."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stack.callback(end, process)
    return process


def wait_for(text: str, process: subprocess.Popen[str]) -> str:
    """The line of a process that begins with ``text``."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(text):
            return line.strip()
    raise SystemExit(f"{process.args!r} has ended before it was ready")


def result(process: subprocess.Popen[str]) -> Any:
    """What a process printed last, as JSON."""
    output, _ = process.communicate(timeout=END_S)
    if process.returncode:
        raise SystemExit(f"{process.args!r} has failed")
    return json.loads(output)


def end(process: subprocess.Popen[str]) -> None:
    """End a process, if it still runs."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    with process:
        pass


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def in_browser(notes: Sequence[dict[str, Any]], rows: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Delays of rows on the page.

    Parameters
    ----------
    notes : sequence of dict
        ``cursor``, and when it was ``known`` and ``drawn``, in milliseconds since 1970.
    rows : sequence of (int, float)
        Ids, and times in seconds since 1970.
    """
    cursors = [note["cursor"] for note in notes]
    place = np.searchsorted(cursors, [number for number, _ in rows])
    delays = {
        what: summary(
            [
                notes[at][what] - 1000 * moment
                for at, (_, moment) in zip(place, rows, strict=True)
                if notes[at][what]
            ]
        )
        for what in ("known", "drawn")
    }
    return {f"{what}_ms": found for what, found in delays.items()}


def summary(values: Sequence[float]) -> dict[str, float] | None:
    """Median, 99th percentile and maximum.

    Returns
    -------
    dict or None
        None without values.
    """
    if not values:
        return None
    p50, p99, most = np.percentile(values, (50, 99, 100))
    return {"p50": float(p50), "p99": float(p99), "max": float(most), "count": len(values)}


if __name__ == "__main__":
    main()
