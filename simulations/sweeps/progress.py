"""`Progress`: how far a sweep is, and the best trial so far, by what was measured on validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.tracking.monitor import stored_monitor
from shared.tracking.rows import RunRow, TrialRow
from shared.tracking.store import Store


@dataclass(frozen=True)
class Best:
    """The best trial so far.

    Attributes
    ----------
    key : str
        What is compared, such as ``val/accuracy``: the metric that chose the model, of the federated twin in a
        comparison. The test rows have no say.
    """

    number: int
    run_id: int
    settings: tuple[str, ...]
    seed: int
    key: str
    value: float


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes
    ----------
    seconds_left : float or None
        At the pace so far; None where there is none yet.
    finished : int or None
        The number of the trial that has just ended, if this is about one.
    error : str or None
        Why it failed.
    finished_pruned : bool
        Whether the search stopped it.
    processor_seconds : float
        Used by the processes of the trials that have ended by now, since the sweep was begun or resumed.
    """

    sweep_id: int
    total: int
    done: int
    running: int
    failed: int
    waiting: int
    seconds: float
    seconds_left: float | None
    best: Best | None
    pruned: int = 0
    finished: int | None = None
    error: str | None = None
    finished_pruned: bool = False
    processor_seconds: float = 0.0


class BestSoFar:
    """Keeps the best trial of those that it is shown."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.best: Best | None = None

    def show(self, trial: TrialRow) -> None:
        """Look at a trial that is completed."""
        found = None if trial.run_id is None else validated(self._store, trial.run_id)
        if found is None or trial.run_id is None:
            return
        key, mode, value = found
        if self.best is not None:
            if key != self.best.key:
                return  # another metric chose the model: not comparable
            if value <= self.best.value if mode == "max" else value >= self.best.value:
                return
        self.best = Best(trial.number, trial.run_id, tuple(trial.settings), trial.seed, key, value)


def validated(store: Store, run_id: int) -> tuple[str, str, float] | None:
    """What a run reached on its validation rows; of a comparison, its federated twins on average.

    Returns
    -------
    tuple of str, str and float, or None
        The metric that chose the model, ``min`` or ``max``, and its best value; None where it is not known.
    """
    run = store.runs.get(run_id)
    runs = [run] if run.training_mode != "compare" else store.runs.children(run_id)
    values = [_best(one) for one in runs if run.training_mode != "compare" or one.training_mode == "federated"]
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    key, mode, _ = known[0]
    return key, mode, sum(value for _, _, value in known) / len(known)


def _best(run: RunRow) -> tuple[str, str, float] | None:
    key, mode = stored_monitor(run)
    stage, _, name = key.partition("/")
    value: Any = (run.summary.get("best") or {}).get(name)
    return None if stage != "val" or mode is None or value is None else (key, mode, float(value))


def named(settings: Sequence[str], seed: int) -> str:
    """A trial by its settings and seed, for people."""
    return " ".join([*settings, f"seed={seed}"])
