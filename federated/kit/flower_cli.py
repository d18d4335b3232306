"""Flower's commands: where they are, and the environment that they run in."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.runtime.errors import FederationError


def tool(name: str) -> str:
    """The path of a command of Flower's.

    Raises
    ------
    FederationError
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise FederationError(f"the command {name} is not installed; pip install 'flwr[simulation]'")
    return found


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of Flower's processes."""
    env = {
        **os.environ,
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.25",
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        **more,
    }
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # imports take three times as long without bytecode
    return env
