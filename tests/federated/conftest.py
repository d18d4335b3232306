"""A federation in one process: real data, store and strategy; the ClientApp is ours or a toy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from federated.client.app import app
from federated.kit.deployment import Deployment
from federated.kit.federation_file import FederationFile
from federated.server.app import serve
from shared.config.compose import compose
from shared.config.config import Config
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from tests.databases import open_new
from tests.federated.federation_kit import Federate, MakeConfig, Run

SMALL = [
    "data.batch_size=64",
    "model.widths=[2,4]",
    "model.hidden=8",
    "partition=stratified",
    "federation.num_clients=3",
    "federation.num_rounds=2",
    "federation.local_epochs=1",
    "trainer.monitor=val/loss",
    "trainer.accelerator=cpu",
    "trainer.progress=false",
]


@pytest.fixture(scope="session", autouse=True)
def quiet_and_one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    flower = logging.getLogger("flwr")
    level = flower.level
    flower.setLevel(logging.CRITICAL)
    InProcessGrid(app, num_clients=0)  # from now on messages can be made
    yield
    flower.setLevel(level)
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def clients_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of the clients; its cache of decoded images serves all tests."""
    root = tmp_path_factory.mktemp("clients")
    (root / "cache").mkdir()
    return root


@pytest.fixture
def home(tmp_path: Path, clients_root: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FEDTWIN_HOME", str(clients_root))
    root = tmp_path / "home"
    root.mkdir()
    (root / "cache").symlink_to(clients_root / "cache")
    return Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with open_new(home.database_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 training, 60 validation and 40 test images of 8 x 8; bright ones tend to be class 1."""
    rng = np.random.default_rng(0)
    arrays = {}
    for side, count in (("train", 120), ("val", 60), ("test", 40)):
        labels = np.arange(count) % 2
        pixels = rng.normal(120 + 40 * labels[:, None, None], 60, size=(count, 8, 8))
        arrays[f"{side}_images"] = pixels.clip(0, 255).astype(np.uint8)
        arrays[f"{side}_labels"] = labels[:, None]
    path = tmp_path_factory.mktemp("two") / "two.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def make_config(two_classes: Path) -> MakeConfig:
    """Settings of a small federation on the two classes, changed by Hydra overrides."""

    @cache
    def make(*overrides: str) -> Config:
        given = "data=" in " ".join(overrides)
        data = [] if given else ["data=npz", f"data.path={two_classes}", "data.image_size=8"]
        return compose([*data, *SMALL, *overrides])

    return make


@pytest.fixture
def federate(make_config: MakeConfig, home: Home, store: Store) -> Federate:
    """Run a federation to its end."""

    def run(
        *overrides: str,
        client_app: ClientApp = app,
        grid: Grid | None = None,
        cfg: Config | None = None,
        resume: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> Run:
        cfg = cfg or make_config(*overrides)
        lines: list[str] = []

        def hear(line: str) -> None:
            lines.append(line)
            say(line)

        grid = grid or InProcessGrid(client_app, num_clients=cfg.federation.num_clients)
        run_id = serve(grid, cfg, store=store, home=home, resume=resume, say=hear)
        return Run(store, home, run_id, lines)

    return run


SITES = [{"name": "north"}, {"name": "south", "data_path": "/data/south"}, {"name": "east"}]


@pytest.fixture
def plan() -> FederationFile:
    server = {"address": "fl.example.org", "more_addresses": ["192.0.2.7", "2001:db8::7"]}
    return FederationFile.model_validate({"name": "xrays", "server": server, "sites": SITES})


@pytest.fixture
def deployment(plan: FederationFile, tmp_path: Path) -> Deployment:
    """A deployment made of the plan."""
    return Deployment.create(plan, folder=tmp_path / "deployment")
