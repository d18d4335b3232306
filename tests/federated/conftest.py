"""A federation in one process: real data, store, strategy and journal; the ClientApp is ours or a small toy."""

# ruff: noqa: E402
from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

with warnings.catch_warnings():  # Flower imports typer, which uses what this version of click deprecates
    warnings.simplefilter("ignore")
    import flwr.app  # noqa: F401

from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from safetensors.torch import load_file
from torch import Tensor

from federated.client_app import app
from federated.server_app import serve
from shared.config import Config, compose
from shared.home import Home
from shared.tracking.rows import MetricRow, RoundRow, RunRow
from shared.tracking.store import Store
from simulations.local_grid import LocalGrid

SMALL = [
    "data=digits",
    "data.batch_size=128",
    "model.widths=[4,8]",
    "model.hidden=16",
    "partition=stratified",
    "federation.num_clients=3",
    "federation.num_rounds=2",
    "trainer.progress=false",
]


@pytest.fixture(scope="session", autouse=True)
def quiet_and_one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    flower = logging.getLogger("flwr")
    level = flower.level
    flower.setLevel(logging.CRITICAL)
    yield
    flower.setLevel(level)
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of the clients; its cache of decoded images serves all tests."""
    root = tmp_path_factory.mktemp("clients")
    (root / "cache").mkdir()
    return root


@pytest.fixture
def home(tmp_path: Path, shared_root: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FEDTWIN_HOME", str(shared_root))
    root = tmp_path / "home"
    root.mkdir()
    (root / "cache").symlink_to(shared_root / "cache")
    return Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with Store(home.database_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 training, 60 validation and 40 test images of 8 x 8; bright ones tend to be class 1."""
    rng = np.random.default_rng(0)
    arrays = {}
    for side, count in (("train", 120), ("val", 60), ("test", 40)):
        labels = np.arange(count) % 2
        noise = rng.normal(120 + 40 * labels[:, None, None], 40, size=(count, 8, 8))
        arrays[f"{side}_images"] = noise.clip(0, 255).astype(np.uint8)
        arrays[f"{side}_labels"] = labels[:, None]
    path = tmp_path_factory.mktemp("two") / "two.npz"
    np.savez(path, **arrays)
    return path


@dataclass(frozen=True)
class Run:
    """What a federated run left behind."""

    store: Store
    home: Home
    id: int
    lines: list[str]

    @property
    def row(self) -> RunRow:
        return self.store.run(self.id)

    @property
    def rounds(self) -> list[RoundRow]:
        return self.store.rounds(self.id)

    def weights(self, name: str = "last") -> dict[str, Tensor]:
        return dict(load_file(self.home.run_dir(self.id) / "checkpoints" / f"{name}.safetensors"))

    def digest(self, name: str = "last") -> str:
        return digest(self.weights(name))

    def points(self, name: str, *, stage: str, client_id: int | None = None) -> dict[int | None, MetricRow]:
        """By round."""
        return {
            row.round: row
            for row in self.store.metrics(self.id)
            if (row.name, row.stage, row.client_id) == (name, stage, client_id)
        }


def digest(state: dict[str, Tensor]) -> str:
    """SHA-256 of all arrays."""
    content = hashlib.sha256()
    for key in sorted(state):
        content.update(f"{key} {state[key].dtype} {tuple(state[key].shape)}".encode())
        content.update(state[key].contiguous().numpy().tobytes())
    return content.hexdigest()


MakeConfig = Callable[..., Config]
Federate = Callable[..., Run]


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """Settings of a small federation, changed by Hydra overrides."""

    def make(*overrides: str) -> Config:
        return compose([*SMALL, *overrides])

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

        grid = grid or LocalGrid(client_app, num_clients=cfg.federation.num_clients)
        run_id = serve(grid, cfg, store=store, home=home, resume=resume, say=hear)
        return Run(store, home, run_id, lines)

    return run
