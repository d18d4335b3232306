"""Real commands in real processes, as a user types them, in a home of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    env = {**os.environ, "FEDTWIN_HOME": str(home), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    for name in ("FEDTWIN_DATABASE_URL", "PYTHONDONTWRITEBYTECODE"):
        env.pop(name, None)
    return env


@pytest.fixture
def fedtwin(environment: dict[str, str], tmp_path: Path) -> Command:
    """Run ``fedtwin`` with arguments, from a folder that is not the checkout."""

    def run(*arguments: str, timeout: float = 240, **more: str) -> subprocess.CompletedProcess[str]:
        env = {**environment, "PYTHONPATH": str(REPOSITORY), **more}
        return subprocess.run(
            [sys.executable, "-m", "fedtwin", *arguments],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
