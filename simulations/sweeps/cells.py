"""`cells_table`: what the trials of a sweep reached, by cell: means over the seeds with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.metrics.catalogue import in_order, label, spec_of
from shared.metrics.gap import Interval
from shared.metrics.headline import format_interval
from shared.tracking.rows import RunRow, TrialRow
from shared.tracking.store import Store
from shared.tracking.twins import headline_record
from simulations.gap.student import Measured, gap_interval, level_interval

NUMBERS = ("pooled", "federated", "gap")
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Cell:
    """The trials of one choice of settings, which differ in their seed alone.

    Attributes
    ----------
    seeds : list of int
        Of the trials that are completed.
    runs : list of int
        Of all trials that have begun.
    metric : str or None
        The headline; None where no trial is completed.
    numbers : dict of str to Interval
        Means over the seeds: ``pooled``, ``federated`` and ``gap`` (what federation costs, positive is worse)
        of comparisons; of other trials ``pooled`` or ``federated`` alone. No ends with one seed. Of a search,
        the winner alone has some.
    sought : dict of str to float
        Of a search: each objective by its label, on validation rows or in costs, mean over the seeds.
    pruned : int
    is_winner : bool
        Of a search: whether these are the trials whose test set was opened.
    """

    settings: tuple[str, ...]
    seeds: list[int]
    runs: list[int]
    trials: int
    failed: int
    metric: str | None
    label: str
    numbers: dict[str, Interval]
    sought: dict[str, float] = field(default_factory=dict)
    pruned: int = 0
    is_winner: bool = False

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types: intervals as ``{"mean", "low", "high"}``, what is not defined as null."""
        numbers = {
            name: {"mean": _finite(one.value), "low": _finite(one.low), "high": _finite(one.high)}
            for name, one in self.numbers.items()
        }
        return {
            "settings": list(self.settings),
            "seeds": self.seeds,
            "runs": self.runs,
            "trials": self.trials,
            "failed": self.failed,
            "metric": self.metric,
            "label": self.label,
            "sought": self.sought,
            "pruned": self.pruned,
            "is_winner": self.is_winner,
            **numbers,
        }


def cells_of_sweep(store: Store, sweep_id: int) -> list[Cell]:
    """The cells of a sweep, in the order of its plan, from the trials that are completed by now."""
    trials = store.trials.of_sweep(sweep_id)
    runs = {run.id: run for run in store.runs.children(sweep_id)}
    reused = {trial.run_id for trial in trials if trial.run_id is not None} - runs.keys()
    runs |= {run.id: run for run_id in reused if (run := store.runs.find(run_id)) is not None}
    found: dict[tuple[tuple[str, ...], bool], list[TrialRow]] = {}
    for trial in trials:
        found.setdefault((tuple(trial.settings), bool((trial.search or {}).get("tested"))), []).append(trial)
    sought = store.runs.get(sweep_id).summary.get("search")
    labels = [] if sought is None else labels_of(sought["objectives"], key=sought["key"])
    return [
        _cell(settings, own, runs, labels=labels, is_winner=winner) for (settings, winner), own in found.items()
    ]


def labels_of(objectives: Sequence[str], *, key: str) -> list[str]:
    """What the objectives of a search are called.

    Parameters
    ----------
    key : str
        Its metric, such as ``val/accuracy``.
    """
    texts = {"metric": key, "gap": f"gap in {key}"}
    return [texts.get(name, name) for name in objectives]


def text_of(cell: Cell, name: str) -> str:
    """A number of a cell for people, with its interval."""
    one = cell.numbers.get(name)
    return "" if one is None else format_interval(one, signed=name == "gap")


def _cell(
    settings: tuple[str, ...],
    trials: Sequence[TrialRow],
    runs: dict[int, RunRow],
    *,
    labels: Sequence[str],
    is_winner: bool,
) -> Cell:
    done = [
        (trial, runs[trial.run_id]) for trial in trials if trial.status == "completed" and trial.run_id in runs
    ]
    measured = [measured_of(run) for _, run in done]
    names = [metric for metric, _, _ in measured if metric is not None]
    metric = names[0] if names else None
    same = [(title, values) for own, title, values in measured if own == metric and metric is not None]
    numbers = {}
    for name in NUMBERS:
        values = [values[name] for _, values in same if name in values]
        if values:
            numbers[name] = _interval(str(metric), values, is_gap=name == "gap")
    return Cell(
        settings=settings,
        seeds=[trial.seed for trial, _ in done],
        runs=[trial.run_id for trial in trials if trial.run_id is not None],
        trials=len(trials),
        failed=sum(trial.status == "failed" for trial in trials),
        metric=metric,
        label=same[0][0] if same else "",
        numbers=numbers,
        sought=dict(zip(labels, _sought(trials), strict=False)),
        pruned=sum(trial.status == "pruned" for trial in trials),
        is_winner=is_winner,
    )


def _sought(trials: Sequence[TrialRow]) -> list[float]:
    values = [trial.search["values"] for trial in trials if trial.search and trial.search.get("values")]
    return [sum(column) / len(column) for column in zip(*values, strict=True)]


def measured_of(run: RunRow) -> tuple[str | None, str, dict[str, float]]:
    """The headline of a run, what it is called, and its numbers on the test rows."""
    if run.training_mode == "compare":
        record = headline_record(run)
        if record is None:
            return None, "", {}
        return record["metric"], record["label"], {name: _number(record[name]) for name in NUMBERS}
    test = run.summary.get("test") or {}
    names = [name for name in in_order(test) if test[name] is not None]
    if not names:
        return None, "", {}
    side = "pooled" if run.training_mode == "centralized" else "federated"
    return names[0], label(names[0]), {side: _number(test[names[0]])}


def _interval(metric: str, values: Sequence[float], *, is_gap: bool) -> Interval:
    of_seeds = np.array(values, dtype=np.float64)
    measured, bounds = Measured(of_seeds, np.empty(0), 0), spec_of(metric).bounds
    if len(values) < 2:
        return Interval(measured.value, math.nan, math.nan)
    return (gap_interval if is_gap else level_interval)(measured, confidence=CONFIDENCE, bounds=bounds)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
