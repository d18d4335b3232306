"""`sweep_runs`: the runs that stand for a sweep in a comparison: those of its best trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from shared.metrics.catalogue import label
from shared.tracking.monitor import stored_monitor
from shared.tracking.rows import RunRow, TrialRow
from shared.tracking.store import Store
from shared.tracking.twins import members_of

MOST_CELLS = 8  # lines that can be told apart


@dataclass(frozen=True)
class SweepRuns:
    """The runs of a sweep that are compared.

    Attributes
    ----------
    trials : dict of int to str
        The trials of each run's settings, by the run's id, such as ``trial 3``; pooled runs that several trials
        share have none.
    chosen : str
        How they were chosen; empty where all are shown.
    """

    runs: list[RunRow]
    trials: dict[int, str]
    chosen: str


def sweep_runs(store: Store, sweep: RunRow) -> SweepRuns:
    """The runs of a sweep's trials that have begun, at most those of `MOST_CELLS` choices of settings.

    The best on validation rows are kept: by the first objective of a search, else by the metric that chose the
    model.
    """
    cells: dict[tuple[str, ...], dict[int, TrialRow]] = {}
    sought: dict[tuple[str, ...], list[float]] = {}
    for trial in store.trials.of_sweep(sweep.id):
        settings, told = tuple(trial.settings), trial.search or {}
        if trial.run_id is not None:  # of a search, the tested winner takes the place of its first training
            cells.setdefault(settings, {})[trial.seed] = trial
        if told.get("values"):
            sought.setdefault(settings, []).append(float(told["values"][0]))
    known = {run.id: run for run in store.runs.children(sweep.id)}
    kept, chosen = list(cells), ""
    if len(cells) > MOST_CELLS:
        if search := sweep.summary.get("search"):
            by, higher = _objective(search)
            means = {cell: fmean(values) for cell, values in sought.items()}
            reached = {cell: -mean if higher else mean for cell, mean in means.items()}
        else:
            by, reached = _best_values(store, cells, known)
        kept = sorted(cells, key=lambda cell: reached.get(cell, math.inf))[:MOST_CELLS]
        which = f"{MOST_CELLS} best of {len(cells)}" if reached else f"first {MOST_CELLS} of {len(cells)}"
        chosen = f"The {which} choices of settings of sweep {sweep.id}{f', by {by}' if reached else ''}."
    runs: dict[int, RunRow] = {}
    trials: dict[int, str] = {}
    for own in (list(cells[cell].values()) for cell in kept):
        numbers = sorted(trial.number for trial in own)
        name = f"trial{'s' if len(own) > 1 else ''} {', '.join(map(str, numbers))}"
        for trial in own:
            for run in _runs_of(store, trial, known):
                runs[run.id] = run
                if run.parent_id != sweep.id or run.id == trial.run_id:
                    trials.setdefault(run.id, name)
    return SweepRuns(list(runs.values()), trials, chosen)


def _objective(search: Mapping[str, Any]) -> tuple[str, bool]:
    """What the first objective of a search is called, and whether more of it is better."""
    name, metric = search["objectives"][0], f"validation {label(search['key'].partition('/')[2])}"
    told = {"metric": metric, "gap": f"gap in {metric}"}.get(name, name)
    return told, name == "metric" and search["mode"] == "max"


def _best_values(
    store: Store, cells: Mapping[tuple[str, ...], Mapping[int, TrialRow]], known: Mapping[int, RunRow]
) -> tuple[str, dict[tuple[str, ...], float]]:
    """The metric that chose the models, and its mean by choice of settings, the lower the better."""
    by, found = "", {}
    for settings, trials in cells.items():
        values = []
        for trial in trials.values():
            runs = _runs_of(store, trial, known)
            own = next((run for run in runs if run.training_mode == "federated"), runs[0] if runs else None)
            if own is None:
                continue
            key, mode = stored_monitor(own)
            stage, _, name = key.partition("/")
            best = (own.summary.get("best") or {}).get(name)
            if stage == "val" and best is not None and mode is not None and math.isfinite(best):
                by = f"validation {label(name)}"
                values.append(-best if mode == "max" else best)
        if values:
            found[settings] = fmean(values)
    return by, found


def _runs_of(store: Store, trial: TrialRow, known: Mapping[int, RunRow]) -> list[RunRow]:
    """The runs that train: a trial's own, or those of its comparison."""
    assert trial.run_id is not None
    run = known.get(trial.run_id) or store.runs.find(trial.run_id)  # one that is reused has another parent
    if run is None:
        return []
    return members_of(store, run) if run.training_mode == "compare" else [run]
