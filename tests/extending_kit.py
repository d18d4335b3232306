"""The code of docs/extending.md, and ``fedtwin`` as a user runs it, in a folder that is not ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def block(kind: str, holding: str) -> str:
    """The block of code of a kind, such as ``python``, that holds some text."""
    found = re.findall(rf"```{kind}\n(.*?)```", TEXT, flags=re.DOTALL)
    return next(code for code in found if holding in code)


def fedtwin(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``fedtwin`` in a folder, whose ``home`` it writes to."""
    plain = {k: v for k, v in os.environ.items() if k not in ("FEDTWIN_MAY_RUN", "FEDTWIN_DATABASE_URL")}
    return subprocess.run(
        # As the installed command does, which does not find modules of the current folder by itself.
        [sys.executable, "-P", "-c", "from fedtwin.cli.main import command; command()", *arguments],
        cwd=folder,
        env={**plain, "PYTHONPATH": str(ROOT), "FEDTWIN_HOME": str(folder / "home"), **env},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
