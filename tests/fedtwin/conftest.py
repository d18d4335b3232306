"""One small comparison, made through the Python API, that the tests of this folder look into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import fedtwin
from fedtwin import Comparison

TWINS = [
    "data=npz",
    "data.image_size=8",
    "data.batch_size=32",
    "model.widths=[2,4]",
    "model.hidden=8",
    "trainer.accelerator=cpu",
    "trainer.progress=false",
    "partition=iid",
    "federation.num_clients=2",
    "federation.num_rounds=2",
    "federation.local_epochs=1",
    "compare.resamples=100",
    "compare.local_only=true",
]


@pytest.fixture(scope="session")
def settings(two_classes: Path) -> list[str]:
    return [*TWINS, f"data.path={two_classes}"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the comparison is kept."""
    return tmp_path_factory.mktemp("place") / "new"


@pytest.fixture(scope="session")
def comparison(settings: list[str], folder: Path) -> Comparison:
    return fedtwin.compare(settings, store=folder)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of the environment, which nothing may touch when a place is named."""
    home = tmp_path / "elsewhere"
    monkeypatch.setenv("FEDTWIN_HOME", str(home))
    monkeypatch.delenv("FEDTWIN_DATABASE_URL", raising=False)
    return home
