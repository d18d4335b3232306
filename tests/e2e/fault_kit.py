"""A deployment that is up, the runs on it, and what tests of its faults ask of them: a plugin of pytest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from federated.deploy.demo.testbed import SERVER, Testbed
from shared.runtime.home import Home
from shared.tracking.rows import RoundRow, RunRow
from shared.tracking.store import Store
from tests.e2e.deploy_kit import OWN_ROWS, SITES, TRAINING, digest, open_bed, simulate, wait_for, write_sites

ROUNDS = 3


class Federation:
    """A deployment that is up, and the runs on it."""

    def __init__(self, bed: Testbed, data: dict[str, Path]) -> None:
        self.bed, self.data = bed, data
        self.home = Home(root=bed.home, database_url=f"sqlite:///{bed.home / 'fedtwin.db'}")
        self.slowest_s = 0.0  # of the replies in first rounds, in which nothing is broken yet

    def deadline_s(self) -> int:
        """Twice the slowest reply so far in a round without faults, from 20 to 45 s.

        Past 45 s, Flower's own limits for a site and for its processes could come first.
        """
        if not self.slowest_s:
            run_id = self.begin("federation.num_rounds=1")
            assert self.end() == 0, self.said()
            self._note_replies(run_id)
        return min(45, max(20, round(2 * self.slowest_s)))

    def begin(self, *overrides: str) -> int:
        """Start a run, and give its id once it has one."""
        with Store(self.home.database_url) as store:
            before = len(store.runs.search())
        self.began = time.monotonic()
        rows = [*OWN_ROWS, f"data.path={self.data[SERVER]}", f"federation.num_rounds={ROUNDS}"]
        self.process = self.bed.federate([*rows, *TRAINING, *overrides])

        def there() -> bool:
            with Store(self.home.database_url) as store:
                return len(store.runs.search()) > before

        wait_for("the run has a row", there, timeout=120)
        with Store(self.home.database_url) as store:
            return store.runs.search()[0].id

    def run(self, run_id: int) -> RunRow:
        with Store(self.home.database_url) as store:
            return store.runs.get(run_id)

    def rounds(self, run_id: int) -> list[RoundRow]:
        with Store(self.home.database_url) as store:
            return store.rounds.of_run(run_id)

    def wait_for_round(self, run_id: int, number: int, *, timeout: float = 600) -> None:
        def done() -> bool:
            assert self.process.poll() is None, self.said()
            return any(row.round == number for row in self.rounds(run_id))

        wait_for(f"round {number}", done, timeout=timeout)
        if number == 1:
            self._note_replies(run_id)

    def _note_replies(self, run_id: int) -> None:
        replies = [value for round, _, value in self.values(run_id, "reply_seconds") if round == 1]
        self.slowest_s = max(self.slowest_s, *replies)

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
        with Store(self.home.database_url) as store:
            return [
                (row.round, row.client_id, row.value)
                for row in store.metrics.of_run(run_id)
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
def federation(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Path]) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("faults")
    with open_bed(folder, data=data) as bed:
        bed.home.mkdir()
        bed.start(SERVER)
        bed.wait_until_ready()
        for name in SITES:
            bed.start(name)
        yield Federation(bed, data)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of the simulation that nothing disturbs."""
    return simulate(tmp_path_factory.mktemp("simulated"), f"federation.num_rounds={ROUNDS}")
