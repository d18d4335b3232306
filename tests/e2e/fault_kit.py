"""A deployment that is up, the runs on it, and what tests of its faults ask of them: a plugin of pytest."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from federated.deploy.demo.testbed import SERVER, Testbed
from shared.runtime.home import Home
from shared.tracking.rows import RoundRow, RunRow
from shared.tracking.store import Store
from tests.e2e.deploy_kit import OWN_ROWS, SITES, TRAINING, digest, open_bed, simulate, wait_for, write_sites

ROUNDS = 4
CLOCK_OFF_S = -240  # Flower takes signatures that are up to five minutes old

# What Python reads at its start, at a site with a wrong clock: for the node, which signs and dates
# messages, and for `fedtwin`. libfaketime would shift the clock below Python, but Python's own waits hang or
# fail under it.
SHIFTED_CLOCK = """
import datetime, os, sys, time

OFFSET = float(os.environ["CLOCK_OFFSET"])
_time, _time_ns, _datetime = time.time, time.time_ns, datetime.datetime


class Shifted(_datetime):
    @classmethod
    def now(cls, tz=None):
        return _datetime.now(tz) + datetime.timedelta(seconds=OFFSET)


if any(part.endswith(("flower-supernode", "fedtwin")) for part in sys.orig_argv):
    time.time = lambda: _time() + OFFSET
    time.time_ns = lambda: _time_ns() + int(OFFSET * 1e9)
    datetime.datetime = Shifted
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
        return digest(self.home, run_id)

    def report(self, run_id: int) -> list[RoundRow]:
        """The rounds, each of which must be there once; printed with what one would want to know."""
        rounds = self.rounds(run_id)
        for row in rounds:
            failed = row.failed or "nothing failed"
            print(f"round {row.round}: {row.seconds:.0f} s, sampled {row.sampled}, {failed}")
        assert [row.round for row in rounds] == list(range(1, len(rounds) + 1))
        return rounds

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
def wrong_clock(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, str]]:
    """Variables of a machine whose clock is off by seconds."""
    folder = tmp_path_factory.mktemp("clock")
    (folder / "sitecustomize.py").write_text(SHIFTED_CLOCK)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return lambda seconds: {"CLOCK_OFFSET": str(seconds), "PYTHONPATH": path}


@pytest.fixture(scope="module")
def federation(
    tmp_path_factory: pytest.TempPathFactory,
    data: dict[str, Path],
    wrong_clock: Callable[[int], dict[str, str]],
) -> Iterator[Federation]:
    """The clock of its last site is four minutes behind, which must change nothing."""
    folder = tmp_path_factory.mktemp("faults")
    with open_bed(folder, data=data) as bed:
        bed.home.mkdir(mode=0o700)
        home = Home(root=bed.home, database_url=f"sqlite:///{bed.home / 'fedtwin.db'}")
        bed.start(SERVER)
        bed.wait_until_ready()
        for name in SITES:
            bed.start(name, more=wrong_clock(CLOCK_OFF_S) if name == SITES[-1] else None)
        with Store(home.database_url) as store:
            yield Federation(bed, data, home=home, store=store)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of the simulation that nothing disturbs."""
    return simulate(tmp_path_factory.mktemp("simulated"), f"federation.num_rounds={ROUNDS}")
