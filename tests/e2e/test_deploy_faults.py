"""Sites and servers that fail, as real processes on machines of their own; every wait is bounded.

Each test prints the times that it saw.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from federated.client.app import app
from federated.deploy.demo.testbed import SERVER, Testbed
from federated.server.app import serve
from shared.runtime.home import Home
from shared.tracking.rows import RoundRow, RunRow
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from tests.e2e.deploy_kit import OWN_ROWS, SITES, TRAINING, open_bed, pooled, wait_for, write_sites

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
NORTH, _, EAST = SITES
ROUNDS = 3


class Federation:
    """A deployment that is up, and the runs on it."""

    def __init__(self, bed: Testbed, data: dict[str, Path]) -> None:
        self.bed, self.data = bed, data
        self.home = Home(root=bed.home, database_url=f"sqlite:///{bed.home / 'fedtwin.db'}")

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


def digest(home: Home, run_id: int) -> str:
    """SHA-256 of the last global model."""
    state = load_file(home.run_dir(run_id) / "checkpoints" / "last.safetensors")
    content = hashlib.sha256()
    for key in sorted(state):
        content.update(f"{key} {state[key].dtype} {tuple(state[key].shape)}".encode())
        content.update(state[key].contiguous().numpy().tobytes())
    return content.hexdigest()


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
    """The last weights of the simulation with the same rows, shares and seed, by SHA-256."""
    root = tmp_path_factory.mktemp("simulated")
    home = Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")
    with pytest.MonkeyPatch.context() as patch, Store(home.database_url) as store:
        patch.setenv("FEDTWIN_HOME", str(root))
        cfg = pooled().replace("federation", num_rounds=ROUNDS)
        run_id = serve(
            InProcessGrid(app, num_clients=len(SITES)), cfg, store=store, home=home, say=lambda line: None
        )
    return digest(home, run_id)


def report(federation: Federation, run_id: int) -> list[RoundRow]:
    """The rounds, each of which must be there once; printed with what one would want to know."""
    rounds = federation.rounds(run_id)
    for row in rounds:
        print(
            f"round {row.round}: {row.seconds:.0f} s, sampled {row.sampled}, {row.failed or 'nothing failed'}"
        )
    assert [row.round for row in rounds] == list(range(1, len(rounds) + 1))
    return rounds


def values(federation: Federation, run_id: int, name: str) -> list[tuple[int | None, int | None, float]]:
    with Store(federation.home.database_url) as store:
        return [
            (row.round, row.client_id, row.value) for row in store.metrics.of_run(run_id) if row.name == name
        ]


def needs_hosts(federation: Federation) -> None:
    if not federation.bed.hosts.isolated:
        pytest.skip("a link can only be cut between network namespaces, which are not permitted here")


def test_a_site_cut_off_for_30_s_loses_nothing_and_the_weights_are_the_simulations(
    federation: Federation, simulated: str
) -> None:
    needs_hosts(federation)
    run_id = federation.begin()
    federation.wait_for_round(run_id, 1)
    federation.wait_for_client(NORTH)
    federation.bed.hosts.set_link(NORTH, up=False)
    time.sleep(30)
    federation.bed.hosts.set_link(NORTH, up=True)
    assert federation.end() == 0, federation.said()
    rounds = report(federation, run_id)
    assert [(row.round, len(row.replied), row.failed) for row in rounds] == [(n, 3, {}) for n in (1, 2, 3)]
    assert federation.digest(run_id) == simulated
    with Store(federation.home.database_url) as store:
        assert [client.name for client in store.clients.of_run(run_id)] == list(SITES)


def test_a_site_cut_off_for_120_s_is_one_error_and_no_round_is_repeated(federation: Federation) -> None:
    needs_hosts(federation)
    run_id = federation.begin("federation.num_rounds=16")
    federation.wait_for_round(run_id, 1)
    federation.wait_for_client(NORTH)
    federation.bed.hosts.set_link(NORTH, up=False)
    time.sleep(120)
    federation.bed.hosts.set_link(NORTH, up=True)
    assert federation.end() == 0, federation.said()
    rounds = report(federation, run_id)
    assert len(rounds) == 16
    failures = [(client_id, reason) for row in rounds for client_id, reason in row.failed.items()]
    assert [client_id for client_id, _ in failures] == [0]
    assert [0 in row.sampled for row in rounds].count(False) >= 1  # nobody asks a site that is not there
    assert rounds[-1].replied == [0, 1, 2]  # and it is back


def test_a_site_killed_in_training_comes_back_by_its_supervisor(federation: Federation) -> None:
    run_id = federation.begin("federation.num_rounds=12", "federation.round_timeout_s=20")
    federation.wait_for_round(run_id, 1)
    federation.wait_for_client(NORTH)
    killed = federation.bed.programs(NORTH, "flower-supernode")
    federation.bed.kill_node(NORTH)
    assert federation.end() == 0, federation.said()
    rounds = report(federation, run_id)
    assert len(rounds) == 12
    assert 0 in rounds[1].failed  # at the deadline, or before it with Flower's own error
    assert rounds[1].replied == [1, 2]
    assert rounds[1].seconds < 45
    assert rounds[-1].replied == [0, 1, 2]
    assert not {process.pid for process in killed} & {
        process.pid for process in federation.bed.programs(NORTH, "flower-supernode")
    }


def test_a_slow_site_misses_the_deadline_and_its_late_reply_is_dropped_and_recorded(
    federation: Federation,
) -> None:
    run_id = federation.begin("federation.num_rounds=4", "federation.round_timeout_s=20")
    federation.wait_for_round(run_id, 1)
    held: dict[int, psutil.Process] = {}
    slow_until = time.monotonic() + 30
    while time.monotonic() < slow_until:
        for process in federation.bed.clients(NORTH):
            if process.pid not in held:  # the last round's may still be about to end
                process.suspend()
                held[process.pid] = process
        time.sleep(0.05)
    for process in held.values():
        with suppress(psutil.NoSuchProcess):
            process.resume()
    assert federation.end() == 0, federation.said()
    rounds = report(federation, run_id)
    assert rounds[1].failed == {0: "train: no reply within 20 s"}
    assert 19 <= rounds[1].seconds < 40
    ((number, client_id, seconds),) = values(federation, run_id, "late_reply_seconds")
    assert (number, client_id) == (3, 0)
    assert 25 < seconds < 60
    assert [row.replied for row in rounds] == [[0, 1, 2], [1, 2], [0, 1, 2], [0, 1, 2]]


@contextmanager
def held_until_the_next_superlink(federation: Federation, apps: list[psutil.Process]) -> Iterator[None]:
    """A ServerApp that is slow to end must not take the next SuperLink for its own."""
    for process in apps:
        process.suspend()
    yield
    if apps:
        kit = str(federation.bed.kit(SERVER))
        time.sleep(1)  # the dead one does not answer any more
        wait_for(
            "the next SuperLink",
            lambda: federation.bed.run(SERVER, "deploy", "health", kit).returncode == 0,
            timeout=120,
        )
    for process in apps:
        process.resume()


@pytest.mark.parametrize(("killed", "times"), [("flwr-serverapp", 2), ("flower-superlink", 1)])
def test_a_server_killed_in_a_round_goes_on_by_its_supervisor_to_the_same_weights(
    federation: Federation, simulated: str, killed: str, times: int
) -> None:
    run_id = federation.begin()
    for number in range(1, times + 1):
        federation.wait_for_round(run_id, number)
        federation.wait_for_client(NORTH)
        victims = federation.bed.programs(SERVER, killed)
        assert victims
        apps = federation.bed.programs(SERVER, "flwr-serverapp") if killed == "flower-superlink" else []
        with held_until_the_next_superlink(federation, apps):
            for process in victims:
                process.kill()
    assert federation.end() == 0, federation.said()
    rounds = report(federation, run_id)
    assert [(row.round, len(row.replied), row.failed) for row in rounds] == [(n, 3, {}) for n in (1, 2, 3)]
    assert federation.digest(run_id) == simulated
    said = federation.bed.log(SERVER).read_text()
    assert said.count(f"run {run_id} was interrupted after round") == times


def test_below_the_quorum_the_run_fails_with_its_reason_within_the_deadline(federation: Federation) -> None:
    run_id = federation.begin("federation.min_replies=3", "federation.round_timeout_s=20")
    federation.wait_for_round(run_id, 1)
    federation.wait_for_client(NORTH)
    began = time.monotonic()
    federation.bed.kill_node(NORTH)
    assert federation.end() != 0
    assert time.monotonic() - began < 60
    run = federation.run(run_id)
    assert run.status == "failed"
    assert run.error is not None
    assert "2 of 3 training replies were valid, federation.min_replies is 3" in run.error
    assert "north: no reply within 20 s" in run.error


# What Python reads at its start, at the site with the wrong clock: for the node, which signs and dates
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


@pytest.fixture
def clock_off(federation: Federation, tmp_path: Path) -> Iterator[Callable[[int], dict[str, str]]]:
    """Start the northern site anew with a clock that is off by seconds; afterwards it is right again."""
    (tmp_path / "sitecustomize.py").write_text(SHIFTED_CLOCK)

    def set_clock(seconds: int) -> dict[str, str]:
        path = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        more = {"CLOCK_OFFSET": str(seconds), "PYTHONPATH": os.pathsep.join(path)}
        federation.bed.stop(NORTH)
        federation.bed.start(NORTH, more=more)
        return more

    yield set_clock
    federation.bed.stop(NORTH)
    federation.bed.start(NORTH)


def test_a_clock_that_is_off_changes_no_order_and_one_that_is_far_off_is_named(
    federation: Federation, simulated: str, clock_off: Callable[[int], dict[str, str]]
) -> None:
    more = clock_off(-600)
    checked = federation.bed.run(NORTH, "deploy", "check", str(federation.bed.kit(NORTH)), more=more)
    assert checked.returncode == 1
    assert "its signatures would be refused" in " ".join(checked.stdout.split())
    assert "set-ntp true" in checked.stdout
    # Flower takes signatures that are up to five minutes old.
    clock_off(-240)
    run_id = federation.begin()
    assert federation.end() == 0, federation.said()
    rounds = report(federation, run_id)
    assert [(row.round, len(row.replied), row.failed) for row in rounds] == [(n, 3, {}) for n in (1, 2, 3)]
    assert federation.digest(run_id) == simulated
    with Store(federation.home.database_url) as store:
        order = [
            row.round for row in store.metrics.of_run(run_id) if row.stage == "train" and row.round is not None
        ]
    assert order == sorted(order)
