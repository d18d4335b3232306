"""The environment of pfl-research, with the same torch as ours; created once in a cache folder."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.speed.meter import child_environment

PACKAGE = "pfl[pytorch]==0.6.0"
INSTALL_S = 1200.0
_REASON = 300  # characters


class NotAvailableError(Exception):
    """A system that cannot be measured here, and why."""


def ensure(cache: Path) -> Path:
    """The Python of the environment.

    Raises
    ------
    NotAvailableError
        The package does not resolve, install or start with this Python and torch.
    """
    torch = version("torch").partition("+")[0]
    folder = (cache / f"pfl-{sys.version_info.major}.{sys.version_info.minor}-torch-{torch}").absolute()
    python = folder / "bin" / "python"
    if not (folder / "ready").is_file():
        print(f"installing {PACKAGE} into {folder}", flush=True)
        uv = [sys.executable, "-m", "uv"]
        _do([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        packages = [PACKAGE, f"torch=={torch}", f"torchvision=={version('torchvision').partition('+')[0]}"]
        _do([*uv, "pip", "install", "--quiet", "--python", str(python), *packages])
        _do([str(python), "-c", "import benchmarks.speed.pfl_loop"])
        (folder / "ready").touch()
    return python


def _do(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, env=child_environment(), capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotAvailableError(f"{PACKAGE} was not installed within {INSTALL_S:g} s") from None
    if done.returncode:
        raise NotAvailableError(f"{PACKAGE} cannot be installed: {' '.join(done.stderr.split())[-_REASON:]}")
