"""Sites and servers that fail, as real processes on machines of their own; every wait is bounded.

Each test prints the times that it saw.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from deploy_kit import OWN_ROWS, SITES, TRAINING, open_bed, pooled, wait_for, write_sites
from safetensors.torch import load_file

from federated.client_app import app
from federated.deploy.testbed import SERVER, Testbed
from federated.server_app import serve
from shared.home import Home
from shared.tracking.rows import RoundRow, RunRow
from shared.tracking.store import Store
from simulations.local_grid import LocalGrid

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
            before = len(store.runs())
        self.began = time.monotonic()
        rows = [*OWN_ROWS, f"data.path={self.data[SERVER]}", f"federation.num_rounds={ROUNDS}"]
        self.process = self.bed.federate([*rows, *TRAINING, *overrides])

        def there() -> bool:
            with Store(self.home.database_url) as store:
                return len(store.runs()) > before

        wait_for("the run has a row", there, timeout=120)
        with Store(self.home.database_url) as store:
            return store.runs()[0].id

    def run(self, run_id: int) -> RunRow:
        with Store(self.home.database_url) as store:
            return store.run(run_id)

    def rounds(self, run_id: int) -> list[RoundRow]:
        with Store(self.home.database_url) as store:
            return store.rounds(run_id)

    def wait_for_round(self, run_id: int, number: int, *, timeout: float = 600) -> None:
        def done() -> bool:
            assert self.process.poll() is None, self.said()
            return any(row.round == number for row in self.rounds(run_id))

        wait_for(f"round {number}", done, timeout=timeout)

    def wait_for_client(self, name: str, *, timeout: float = 300) -> list[psutil.Process]:
        """Wait until a site works on a message."""
        wait_for(f"{name} works", lambda: bool(self.bed.programs(name, "flwr-clientapp")), timeout=timeout)
        return self.bed.programs(name, "flwr-clientapp")

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
            LocalGrid(app, num_clients=len(SITES)), cfg, store=store, home=home, say=lambda line: None
        )
    return digest(home, run_id)


def test_a_site_cut_off_for_30_s_loses_nothing_and_the_weights_are_the_simulations(
    federation: Federation, simulated: str
) -> None:
    run_id = federation.begin()
    if federation.bed.hosts.isolated:
        federation.wait_for_round(run_id, 1)
        federation.wait_for_client(NORTH)
        federation.bed.hosts.set_link(NORTH, up=False)
        time.sleep(30)
        federation.bed.hosts.set_link(NORTH, up=True)
    assert federation.end() == 0, federation.said()
    rounds = federation.rounds(run_id)
    assert [(row.round, len(row.replied), row.failed) for row in rounds] == [(n, 3, {}) for n in (1, 2, 3)]
    print("seconds a round:", [round(row.seconds) for row in rounds])
    assert federation.digest(run_id) == simulated
    with Store(federation.home.database_url) as store:
        assert [client.name for client in store.clients(run_id)] == list(SITES)
