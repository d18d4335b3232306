"""fedtwin's commands as systems, and their marks read from the database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.speed.handover import Mark
from benchmarks.speed.meter import child_environment
from shared.tracking.rows import RunRow
from shared.tracking.store import Store

ASK_S = 120.0


def has_command(name: str) -> bool:
    """Whether this version has a command.

    Parameters
    ----------
    name : str
        Such as ``simulate``.
    """
    asked = subprocess.run(
        [*command(name), "--help"], env=child_environment(), capture_output=True, timeout=ASK_S, check=False
    )
    return asked.returncode == 0


def command(name: str) -> list[str]:
    """A command of ours, as installed beside this Python."""
    return [str(Path(sys.executable).parent / "fedtwin"), name]


def marks_of_last_run(home: Path) -> list[Mark]:
    """When the rounds (or epochs) of the newest run ended, and what its model was worth.

    Parameters
    ----------
    home : Path
        Its ``FEDTWIN_HOME``.

    Returns
    -------
    list of Mark
        Of an epoch only the last has the values: they are those of the test at the end.
    """
    with Store(f"sqlite:///{home / 'fedtwin.db'}") as store:
        run = store.runs.search(limit=1)[0]
        return _epochs(store, run) if run.training_mode == "centralized" else _rounds(store, run)


def _rounds(store: Store, run: RunRow) -> list[Mark]:
    values = {row.round: row.metrics for row in store.evaluations.of_run(run.id)}
    rounds = store.rounds.of_run(run.id)
    times = {row.round: row.ended.timestamp() for row in rounds}
    if rounds:
        times[0] = rounds[0].began.timestamp()
    return [
        Mark(number, times[number], values.get(number, {}).get("loss"), values.get(number, {}).get("auroc"))
        for number in sorted(times)
    ]


def _epochs(store: Store, run: RunRow) -> list[Mark]:
    ends: dict[int, float] = {}
    test: dict[str, float] = {}
    for row in store.metrics.of_run(run.id):
        if row.stage == "test":
            test[row.name] = row.value
        elif row.epoch is not None:
            ends[row.epoch] = max(ends.get(row.epoch, 0.0), row.time.timestamp())
    first = min(ends, default=0)
    marks = [Mark(epoch - first + 1, moment) for epoch, moment in sorted(ends.items())]
    if marks:
        marks[-1] = Mark(marks[-1].round, marks[-1].time, test.get("loss"), test.get("auroc"))
    return marks
