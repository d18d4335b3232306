"""What is told of a comparison's runs: after which epoch and round they were tested, and their warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.tracking.rows import MODE_NAMES, RunRow
from shared.tracking.store import Store

_UNITS = {"centralized": "epoch", "federated": "round"}


def when_tested(runs: Sequence[RunRow]) -> str:
    """A sentence with the tested epochs and rounds of pooled and federated runs.

    Returns
    -------
    str
        Such as ``Tested after epoch 4 (pooled) and round 9 (federated).``; empty if one is not known.
    """
    parts = []
    for mode, unit in _UNITS.items():
        own = [run for run in runs if run.training_mode == mode]
        numbers = [run.summary.get(f"test_{unit}") for run in own]
        if not numbers or None in numbers:
            return ""
        several = "s" if len(numbers) > 1 else ""
        parts.append(f"{unit}{several} {', '.join(map(str, numbers))} ({MODE_NAMES[mode]})")
    return f"Tested after {' and '.join(parts)}."


def warnings_of(runs: Iterable[RunRow]) -> list[str]:
    """The warnings of runs; of several, each says which run it is about, unless it is the comparison."""
    runs = list(runs)
    seeds = len({run.seed for run in runs if run.training_mode != "compare"}) > 1
    found = []
    for run in runs:
        mode = MODE_NAMES[run.training_mode]
        who = run.name if run.training_mode == "local" else mode
        about = (
            ""
            if len(runs) == 1 or run.training_mode == "compare"
            else f"{who}{f', seed {run.seed}' if seeds else ''}: "
        )
        found += [f"{about}{text}" for text in run.summary.get("warnings") or ()]
    return found


def family(store: Store, run_id: int) -> list[RunRow]:
    """A run, and the runs of it if it is a comparison."""
    return [store.runs.get(run_id), *store.runs.children(run_id)]
