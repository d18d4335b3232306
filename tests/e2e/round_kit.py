"""Waiting for a round of a command that runs in a process of its own."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from shared.tracking.rows import RunRow
from shared.tracking.store import Store

WAIT_S = 180


def wait_for_round(database: Path, number: int, *, child: subprocess.Popen[str]) -> RunRow:
    """The newest run, as soon as it has done a round."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        assert child.poll() is None, child.stderr.read() if child.stderr else ""
        if database.exists():
            with Store(f"sqlite:///{database}") as store:
                runs = store.runs.search()
                if runs and any(row.round >= number for row in store.rounds.of_run(runs[0].id)):
                    return runs[0]
        time.sleep(0.1)
    raise AssertionError(f"round {number} was not reached")
