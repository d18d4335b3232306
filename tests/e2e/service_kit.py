"""Commands of fedtwin that run in the background, in a home of their own, for tests of the service."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

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


def wait_for(
    client: httpx.Client, place: str, what: Callable[[dict[str, Any]], object], *, wait_s: float = WAIT_S
) -> dict[str, Any]:
    """A job or a dataset, as soon as something holds of it; a job's log is told if it never does."""
    deadline = time.monotonic() + wait_s
    while True:
        answer = client.get(place)
        assert answer.status_code == 200, answer.text
        if what(found := answer.json()):
            return found  # type: ignore[no-any-return]
        assert time.monotonic() < deadline, (found, client.get(f"{place}/log").text)
        time.sleep(0.05)


def first_line(process: subprocess.Popen[str]) -> str:
    """What a command prints first."""
    assert process.stdout is not None
    return process.stdout.readline()
