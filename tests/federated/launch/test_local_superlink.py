"""What a command that was killed left behind is ended by the next one, and only that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from federated.launch.flwr_run import PACKAGES, app_folder
from federated.launch.local_superlink import LocalSuperLink, sweep
from shared.config.compose import compose
from shared.runtime.errors import FederationError
from shared.runtime.home import Home
from shared.tracking.store import Store

Leave = Callable[..., tuple[Path, subprocess.Popen[bytes]]]


@pytest.fixture
def leave(home: Home, store: Store) -> Iterator[Leave]:
    """A folder of a SuperLink with a process that carries it, as `SuperLink` makes them."""
    started: list[subprocess.Popen[bytes]] = []

    def make(*, owner_alive: bool, status: str) -> tuple[Path, subprocess.Popen[bytes]]:
        run_id = store.runs.create(name="r", training_mode="federated", config={}, seed=1)
        if status != "running":
            store.runs.finish(run_id, status)
        folder = home.root / f"flower-{len(started)}"
        folder.mkdir()
        owner = {"pid": os.getpid(), "started": psutil.Process().create_time(), "run_id": run_id}
        if not owner_alive:
            owner["started"] = 1.0  # another process that had the same number
        (folder / "owner.json").write_text(json.dumps(owner))
        process = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(120)"], env={**os.environ, "FLWR_HOME": str(folder)}
        )
        started.append(process)
        return folder, process

    yield make
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.attack
@pytest.mark.parametrize("status", ["completed", "failed", "stopped"])
def test_what_a_killed_command_left_is_ended(status: str, leave: Leave, home: Home, store: Store) -> None:
    folder, process = leave(owner_alive=False, status=status)
    sweep(store, home=home)
    assert process.wait(timeout=30) < 0
    assert not folder.exists()


@pytest.mark.parametrize(
    ("owner_alive", "status"), [(True, "completed"), (True, "running"), (False, "running")]
)
def test_what_is_still_at_work_is_left_alone(
    owner_alive: bool, status: str, leave: Leave, home: Home, store: Store
) -> None:
    folder, process = leave(owner_alive=owner_alive, status=status)
    sweep(store, home=home)
    assert process.poll() is None
    assert folder.is_dir()


def test_folders_that_are_not_ours_are_left_alone(home: Home, store: Store) -> None:
    (home.root / "flower-mine").mkdir()
    sweep(store, home=home)
    assert (home.root / "flower-mine").is_dir()


def test_the_flower_app_is_our_packages_alone() -> None:
    with app_folder() as app:
        assert {path.name for path in app.iterdir()} == {"pyproject.toml", *PACKAGES}
        assert (app / "federated" / "server" / "app.py").is_file()
    assert not app.exists()


@pytest.mark.parametrize("port", [1, 70000])
def test_a_ray_cluster_that_is_not_there_is_named_at_once(port: int, home: Home) -> None:
    cfg = compose(["federation.engine=flower", f"federation.ray_address=127.0.0.1:{port}"])
    with pytest.raises(FederationError, match=rf"no Ray cluster answers at .*127\.0\.0\.1:{port}"):
        LocalSuperLink(cfg, home=home, run_id=1)
    assert not list(home.root.glob("flower-*"))
