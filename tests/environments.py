"""`new_environment`: a Python environment of its own, for a real server whose packages are not beside ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def new_environment(folder: Path, *packages: str, what: str) -> Path:
    """Make an environment and install packages into it; skips the test where that cannot be, but in CI.

    Parameters
    ----------
    packages : str
        As uv takes them, with options.
    what : str
        The server, in words.

    Returns
    -------
    Path
        Its Python.
    """
    uv = [sys.executable, "-m", "uv"]
    python = folder / "bin" / "python"
    try:
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *packages], check=True)
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{what} cannot be installed: {error}")
        pytest.skip(f"{what} cannot be installed: {error}")
    return python
