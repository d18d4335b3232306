"""A home of finished runs for the tests of the page, made once for all workers: a plugin of pytest."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from flwr.app import RecordDict

from federated.client.app import app
from federated.server.app import serve
from shared.config.config import Config
from shared.runtime.errors import QuorumError
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.compare import compare
from simulations.engine.in_process import InProcessGrid
from simulations.engine.local_runner import LocalRunner
from tests.e2e.page_kit import Server
from tests.federated.federation_kit import Asked, toy_app


@dataclass(frozen=True)
class Finished:
    """A home of finished runs, and a server on it.

    Attributes
    ----------
    url : str
    home : Path
    database_url : str
    compare : int
        Two seeds, with local-only runs.
    pooled, federated : int
        Its first twins.
    hostile : int
        A failed federated run whose name, clients and errors are markup.
    """

    url: str
    home: Path
    database_url: str
    compare: int
    pooled: int
    federated: int
    hostile: int

    @property
    def comparison(self) -> str:
        """The address of the comparison's picture."""
        with Store(self.database_url) as store:
            ids = ",".join(str(run.id) for run in store.runs.children(self.compare))
        return f"{self.url}/compare?runs={ids}&metric=accuracy"


TWINS = [
    "partition=stratified",
    "federation.num_clients=3",
    "federation.num_rounds=3",
    "federation.local_epochs=1",
    "compare.seeds=[1,2]",
    "compare.local_only=true",
    "compare.resamples=100",
    "data.batch_size=8",
    "trainer.optimizer.lr=0.05",
]
IMAGE = '<img src="x" onerror="alert(1)">'
BOLD = "<b>bold</b>"  # short enough to be drawn whole
LINK = f'<a href="https://example.invalid/">here</a> {BOLD}'
LONG = "W" * 200
SCRIPT = "<script>alert(2)</script>"


@pytest.fixture(scope="session")
def finished(
    make_config: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory, cache_dir: Path
) -> Iterator[Finished]:
    """A server on a home of finished runs; the first worker that needs it makes it, tests only read it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # all workers' own
    root, ids = folder / "finished" / "home", folder / "finished.json"
    home = Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")
    with FileLock(folder / "finished.lock"):
        if not ids.exists():
            root.mkdir(parents=True)
            (root / "cache").symlink_to(cache_dir)
            ids.write_text(json.dumps(_finish(make_config(*TWINS), home=home)))
    server = Server(root)
    server.start()
    yield Finished(url=server.url, home=root, database_url=home.database_url, **json.loads(ids.read_text()))
    server.stop()


def _finish(cfg: Config, *, home: Home) -> dict[str, int]:
    """Real runs of both modes: a real comparison, but with a grid of this process as its engine; their ids."""

    with pytest.MonkeyPatch.context() as patch, Store(home.database_url) as store:
        patch.setenv("FEDTWIN_HOME", str(home.root))
        patch.delenv("FEDTWIN_DATABASE_URL", raising=False)
        patch.setattr(logging.getLogger("flwr"), "disabled", True)
        runner = LocalRunner(InProcessGrid(app, num_clients=3))
        parent = compare(cfg, runner=runner, store=store, home=home)
        made = {run.training_mode: run.id for run in reversed(store.runs.children(parent))}
        hostile = _run_hostile(cfg, store=store, home=home)
    return {
        "compare": parent,
        "pooled": made["centralized"],
        "federated": made["federated"],
        "hostile": hostile,
    }


def _run_hostile(cfg: Config, *, store: Store, home: Home) -> int:
    """One client fails in the first round, all in the second; whatever they say is markup."""
    names = [IMAGE, BOLD, LONG]

    def reply(content: RecordDict, asked: Asked) -> RecordDict:
        if asked.kind == "train" and (asked.round == 2 or asked.client_id == 0):
            raise RuntimeError(f"client {asked.client_id} {SCRIPT}")
        return content

    toy = toy_app(reply=reply, info=lambda values: {**values, "name": names[values["client_id"]]})
    cfg = cfg.replace("", name=LINK, description=IMAGE)
    with pytest.raises(QuorumError):
        serve(InProcessGrid(toy, num_clients=3), cfg, store=store, home=home, say=lambda line: None)
    return store.runs.search()[0].id
