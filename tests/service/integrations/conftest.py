"""A store and a home, and the trackers of `trackers_kit`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.databases import open_new
from tests.service.integrations.trackers_kit import mlflow_program, place  # noqa: F401


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "home").mkdir()
    return Home(root=tmp_path / "home", database_url=f"sqlite:///{tmp_path / 'home' / 'fedtwin.db'}")


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with open_new(home.database_url) as opened:
        yield opened
