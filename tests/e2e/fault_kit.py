"""A deployment that is up, the runs on it, and what tests of its faults ask of them: a plugin of pytest."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from federated.deploy.demo.testbed import SERVER, Testbed
from shared.runtime.home import Home
from shared.tracking.rows import RoundRow, RunRow
from shared.tracking.store import Store
from tests.e2e.deploy_kit import OWN_ROWS, SITES, TRAINING, open_bed, pooled, wait_for, write_sites
from tests.e2e.same_run_kit import last_weights, serve_here

ROUNDS = 4
SLOW = "slow"  # while this file is in the folder of the testbed
CLOCK_OFF_S = -240  # Flower takes signatures that are up to five minutes old

# What Python reads at its start, at a site with a wrong clock or a slow one. The clock is that of the node,
# which signs and dates messages, and of `fedtwin`; libfaketime would shift it below Python, but Python's own
# waits hang or fail under it. The slow site's app waits where it would work, its heartbeats go on: a process
# that is stopped for longer than some 50 s, Flower takes for gone, and its site answers nothing for minutes.
STRANGE_MACHINE = """
import datetime, os, sys, time

OFFSET = float(os.environ.get("CLOCK_OFFSET", 0))
SLOW = os.environ.get("SLOW_WHILE_THERE")
_time, _time_ns, _datetime = time.time, time.time_ns, datetime.datetime


class Shifted(_datetime):
    @classmethod
    def now(cls, tz=None):
        return _datetime.now(tz) + datetime.timedelta(seconds=OFFSET)


if OFFSET and any(part.endswith(("flower-supernode", "fedtwin")) for part in sys.orig_argv):
    time.time = lambda: _time() + OFFSET
    time.time_ns = lambda: _time_ns() + int(OFFSET * 1e9)
    datetime.datetime = Shifted

if SLOW and "federated.deploy.run.zygote" in sys.orig_argv:
    from flwr.clientapp import ClientApp

    work = ClientApp.__call__

    def work_slowly(self, message, context):
        while os.path.exists(SLOW):
            time.sleep(0.05)
        return work(self, message, context)

    ClientApp.__call__ = work_slowly
"""


class Federation:
    """A deployment that is up, and the runs on it."""

    def __init__(self, bed: Testbed, data: dict[str, Path], *, home: Home, store: Store) -> None:
        self.bed, self.data, self.home, self.store = bed, data, home, store

    def begin(self, *overrides: str) -> int:
        """Start a run, and give its id once it has one."""
        before = len(self.store.runs.search())
        self.began = time.monotonic()
        rows = [*OWN_ROWS, f"data.path={self.data[SERVER]}", f"federation.num_rounds={ROUNDS}"]
        self.process = self.bed.federate([*rows, *TRAINING, *overrides])
        wait_for("the run has a row", lambda: len(self.store.runs.search()) > before, timeout=120)
        return self.store.runs.search()[0].id

    def run(self, run_id: int) -> RunRow:
        return self.store.runs.get(run_id)

    def rounds(self, run_id: int) -> list[RoundRow]:
        return self.store.rounds.of_run(run_id)

    def wait_until(
        self, run_id: int, what: str, condition: Callable[[list[RoundRow]], bool], *, timeout: float = 600
    ) -> None:
        """Wait for something to be true of the complete rounds of a run that goes on."""

        def done() -> bool:
            assert self.process.poll() is None, self.said()
            return condition(self.rounds(run_id))

        wait_for(what, done, timeout=timeout)

    def wait_for_round(self, run_id: int, number: int) -> None:
        self.wait_until(run_id, f"round {number}", lambda rounds: any(row.round == number for row in rounds))

    def wait_for_client(self, name: str, *, timeout: float = 300) -> list[psutil.Process]:
        """Wait until a site works on a message."""
        found: list[psutil.Process] = []

        def works() -> bool:
            found[:] = self.bed.clients(name)
            return bool(found)

        wait_for(f"{name} works", works, timeout=timeout, every=0.05)
        return found

    def end(self, *, timeout: float = 900) -> int:
        status = self.process.wait(timeout=timeout)
        print(f"the run took {time.monotonic() - self.began:.0f} s, exit status {status}")
        return status

    def stop(self) -> int:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.end(timeout=120)

    def said(self) -> str:
        return (self.bed.folder / "logs" / "run.log").read_text(errors="replace")[-3000:]

    def digest(self, run_id: int) -> str:
        return last_weights(self.home.run_dir(run_id))

    def report(self, run_id: int) -> list[RoundRow]:
        """The rounds, each of which must be there once; printed with what one would want to know."""
        rounds = self.rounds(run_id)
        for row in rounds:
            failed = row.failed or "nothing failed"
            print(f"round {row.round}: {row.seconds:.0f} s, sampled {row.sampled}, {failed}")
        assert [row.round for row in rounds] == list(range(1, len(rounds) + 1))
        return rounds

    @contextmanager
    def slow_site(self) -> Iterator[None]:
        """Let the first site work on nothing until the block ends; it is there, and answers then."""
        marker = self.bed.folder / SLOW
        marker.touch()
        try:
            yield
        finally:
            marker.unlink()

    def values(self, run_id: int, name: str) -> list[tuple[int | None, int | None, float]]:
        """Rounds, clients and values of a metric."""
        return [
            (row.round, row.client_id, row.value)
            for row in self.store.metrics.of_run(run_id)
            if row.name == name
        ]

    def needs_hosts(self) -> None:
        """Skip the test where no link can be cut."""
        if not self.bed.hosts.isolated:
            pytest.skip("a link can only be cut between network namespaces, which are not permitted here")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("digits")
    return write_sites(folder / "data", cache=folder / "cache")


@pytest.fixture(scope="module")
def strange_machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a machine needs whose clock is off, or which is slow."""
    folder = tmp_path_factory.mktemp("strange")
    (folder / "sitecustomize.py").write_text(STRANGE_MACHINE)
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}


@pytest.fixture(scope="module")
def wrong_clock(strange_machine: dict[str, str]) -> Callable[[int], dict[str, str]]:
    """Variables of a machine whose clock is off by seconds."""
    return lambda seconds: {**strange_machine, "CLOCK_OFFSET": str(seconds)}


@pytest.fixture(scope="module")
def federation(
    tmp_path_factory: pytest.TempPathFactory,
    data: dict[str, Path],
    strange_machine: dict[str, str],
    wrong_clock: Callable[[int], dict[str, str]],
) -> Iterator[Federation]:
    """The clock of its last site is four minutes behind, which must change nothing; the first can be slow."""
    folder = tmp_path_factory.mktemp("faults")
    with open_bed(folder, data=data) as bed:
        bed.home.mkdir(mode=0o700)
        home = Home(root=bed.home, database_url=f"sqlite:///{bed.home / 'fedtwin.db'}")
        bed.start(SERVER)
        bed.wait_until_ready()
        for name in SITES:
            slow = {**strange_machine, "SLOW_WHILE_THERE": str(folder / SLOW)}
            bed.start(name, more={SITES[0]: slow, SITES[-1]: wrong_clock(CLOCK_OFF_S)}.get(name))
        with Store(home.database_url) as store:
            yield Federation(bed, data, home=home, store=store)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of the simulation that nothing disturbs."""
    return serve_here(pooled(f"federation.num_rounds={ROUNDS}"), tmp_path_factory.mktemp("simulated"))
