"""A federation in the test's own process: the weights that commands and deployments must end with."""

from __future__ import annotations

from pathlib import Path

import pytest
from flwr.clientapp import ClientApp
from safetensors.torch import load_file

from federated.client.app import app
from federated.server.app import serve
from shared.config.config import Config
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from tests.federated.federation_kit import digest


def last_weights(run_folder: Path) -> str:
    """SHA-256 of the last global model in a run's folder, and of what its strategy keeps."""
    return digest(load_file(run_folder / "checkpoints" / "last.safetensors"))


def serve_here(cfg: Config, root: Path, *, client_app: ClientApp = app) -> str:
    """The last weights of a run with these settings that nothing disturbs, in a home of its own."""
    home = Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")
    with pytest.MonkeyPatch.context() as patch, Store(home.database_url) as store:
        patch.setenv("FEDTWIN_HOME", str(root))
        grid = InProcessGrid(client_app, num_clients=cfg.federation.num_clients)
        run_id = serve(grid, cfg, store=store, home=home, say=lambda line: None)
    return last_weights(home.run_dir(run_id))
