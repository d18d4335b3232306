"""What `flwr run` hands over: where the run is written is said and checked, and no setting is ignored."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from federated.server.flower_run import first_line, settings_of
from shared.config.config import Config
from shared.runtime.errors import ConfigError, FederationError
from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.federated.federation_kit import MakeConfig

Handed = Callable[..., Config]


@pytest.fixture
def handed(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> Handed:
    monkeypatch.setenv("FEDTWIN_HOME", str(home.root))

    def run(overrides: str = "", **more: Any) -> Config:
        config = {"overrides": overrides, **{name.replace("_", "-"): value for name, value in more.items()}}
        return settings_of(config, store=store, home=home, num_nodes=lambda: 7)

    return run


@pytest.mark.parametrize(
    ("overrides", "clients"),
    [
        ("", 7),
        ("federation.num_clients=4", 4),  # the default, but typed
        ("++federation.num_clients=3", 3),
        ("experiment=pneumoniamnist data.path=/x.npz", 10),  # the preset's
    ],
)
def test_the_nodes_are_the_clients_unless_their_number_was_set(
    overrides: str, clients: int, handed: Handed
) -> None:
    assert handed(overrides).federation.num_clients == clients


@pytest.mark.parametrize(
    "override",
    [
        "tracking.run_id=3",
        "tracking.parent_id=3",
        "federation.engine=local",
        "federation.workers=2",
        "federation.client_gpus=0.5",
        "federation.start_timeout_s=9",
        "trainer.max_epochs=9",
        "compare.local_only=true",
        "trainer.early_stopping.patience=2",
    ],
)
def test_a_setting_without_an_effect_is_refused(override: str, handed: Handed) -> None:
    with pytest.raises(ConfigError, match=f"{override} has no effect"):
        handed(override)


def test_the_home_is_that_of_the_superlink_or_the_run_is_refused(
    handed: Handed, home: Home, tmp_path: Path
) -> None:
    assert handed(f"tracking.home={home.root}").tracking.home == str(home.root)
    with pytest.raises(ConfigError, match=f"tracking.home={tmp_path}, but .* FEDTWIN_HOME={home.root}"):
        handed(f"tracking.home={tmp_path}")
    with pytest.raises(ConfigError, match="another database than the SuperLink's"):
        handed(f"tracking.database_url=sqlite:///{tmp_path}/other.db")


def test_a_prepared_row_is_of_the_same_home(
    handed: Handed, home: Home, store: Store, make_config: MakeConfig, tmp_path: Path
) -> None:
    cfg = make_config()
    prepared = store.runs.create(name="x", training_mode="federated", config=cfg.snapshot(), seed=42)
    assert handed(run_id=prepared, home=str(home.root)).tracking.run_id == prepared
    assert handed(run_id=prepared).snapshot() == cfg.snapshot()
    with pytest.raises(FederationError, match=rf"run {prepared} is in {tmp_path}, but .*HOME={home.root}"):
        handed(run_id=prepared, home=str(tmp_path))


def test_the_first_line_names_run_home_and_database_but_no_password(home: Home) -> None:
    line = first_line(12, home)
    assert all(text in line for text in ("run 12", str(home.root), home.database_url))
    secret = first_line(12, Home(root=home.root, database_url="postgresql://me:secret@db/runs"))
    assert "secret" not in secret
    assert "postgresql://me:***@db/runs" in secret


def test_paths_are_read_as_typed_and_data_is_recognised(handed: Handed, tmp_path: Path) -> None:
    folder = tmp_path / "scans (new), a=b"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        (folder / label / "1.png").touch()
    cfg = handed(shlex.join([f"data.path={folder}", "seed=3"]))
    assert (cfg.images.source, cfg.images.path, cfg.seed) == ("classes", str(folder), 3)
