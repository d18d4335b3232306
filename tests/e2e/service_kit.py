"""Commands of fedtwin that run in the background, in a home of their own, for tests of the service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "train-correct-horse_battery"
WAIT_S = 120.0

Start = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def background(home: Path) -> Iterator[Start]:
    """What starts a command; all are killed at the end of the block."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FEDTWIN_")}
    own = {"FEDTWIN_HOME": str(home), "FEDTWIN_TRAIN_TOKEN": TOKEN, "PYTHONPATH": str(REPOSITORY)}
    with ExitStack() as ends:

        def start(*arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "fedtwin", *arguments]
            process = subprocess.Popen(command, env={**kept, **own}, stdout=subprocess.PIPE, text=True)
            ends.enter_context(process)
            ends.callback(process.kill)
            return process

        yield start


def first_line(process: subprocess.Popen[str]) -> str:
    """What a command prints first."""
    assert process.stdout is not None
    return process.stdout.readline()
