"""`environment`: what a run was started with: command line, versions, commit of the code, and the machine."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from shared.runtime.notebook import in_notebook
from shared.runtime.secrets import HIDDEN, without_secrets

# What decides about numbers, and what Flower and the page need; the rest is in constraints.txt of the commit.
PACKAGES = (
    "fedtwin",
    "flwr",
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "numpy",
    "scikit-learn",
    "pillow",
    "sqlalchemy",
)
FLOWER = "flwr"  # begins the names of Flower's programs
_SECRET = re.compile(r"token|password|passwd|secret|api.?key", re.IGNORECASE)  # names of options
_GIT_S = 5.0  # longest wait for git, such as on a slow network drive


def environment() -> dict[str, Any]:
    """What is known of this process and its machine.

    Returns
    -------
    dict
        In JSON's types: ``commands`` (one, without passwords), ``folder``, ``python``, ``system``, ``cpus``,
        ``packages`` (version by name) and ``commits`` (``fedtwin`` and ``folder``; with ``-dirty`` where files
        differ from the commit). What is not known is left out.
    """
    here = Path.cwd()
    code = Path(__file__).resolve()
    own = _commit(code.parent, of=code.name)
    working = _commit(here)
    commits = {"fedtwin": own, "folder": working}
    return {
        "commands": [command_line()],
        "folder": str(here),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": dict(_versions()),
        "commits": {name: commit for name, commit in commits.items() if commit},
    }


def begun_again(stored: dict[str, Any] | None, *, resume: bool) -> dict[str, Any]:
    """The environment of a run that another process made a row for, or that is resumed.

    Parameters
    ----------
    stored : dict or None
        Of the run so far: its commands are kept, and a resumed run has one more.
    """
    if stored and (not resume or command_line().startswith(FLOWER)):
        return stored  # whoever made the row, or let Flower's process resume the run, knows what was typed
    now = environment()
    return {**now, "commands": [*(stored or {}).get("commands", ()), *now["commands"]]}


def command_line() -> str:
    """What was typed, as far as a process can know it; passwords and tokens are hidden."""
    if in_notebook():
        return "(in a notebook)"
    program = Path(sys.argv[0] or "python")
    name = program.name if program.stem != "__main__" else program.parent.name
    if name.startswith(FLOWER):
        return name  # Flower's own processes are given tokens as arguments
    words = [str(without_secrets(word)) for word in sys.argv[1:]]
    for place, word in enumerate(words):
        option, equals, _ = word.partition("=")
        if _SECRET.search(option) and (equals or option.startswith("-")):
            if equals:
                words[place] = f"{option}={HIDDEN}"
            elif place + 1 < len(words):
                words[place + 1] = HIDDEN
    return " ".join(filter(None, [name, shlex.join(words)]))  # our own name has the subcommand in it


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return tuple(found)


@cache
def _commit(folder: Path, of: str | None = None) -> str | None:
    """The commit that a folder is of; None: no git, no repository, or one that does not track file ``of``."""
    if of is not None and _git(folder, "ls-files", "--error-unmatch", of) is None:
        return None  # an installed package below somebody else's repository
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *words: str) -> str | None:
    command = ["git", "-C", str(folder), *words]
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_GIT_S,
            check=False,
            env=quiet,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
