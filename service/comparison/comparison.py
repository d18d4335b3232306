"""Comparison of runs: curves of one metric over all x-axes, the gap along training, and the final gap."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from service.comparison.curve_gap import curve_gap
from service.comparison.pairing import CurvePoint, RunCurve
from service.comparison.result import result
from service.comparison.similarity import group_runs
from service.comparison.sweep_runs import sweep_runs
from service.comparison.thinned import MOST_POINTS, thinned
from service.read.members import ROLES, labels, member
from service.read.run_config import unit
from service.read.x_axes import XValues, x_axes
from shared.metrics.catalogue import LOSS, better, in_order, naming, spec_of
from shared.metrics.gap import GapRow, stored_gap
from shared.metrics.gap_record import gap_record
from shared.metrics.headline import headline
from shared.metrics.spec import Better
from shared.tracking.monitor import stored_monitor
from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from shared.tracking.twins import (
    members_of,
    number_of_clients,
    positive_class,
    warnings_of,
    when_tested,
)


def compare(store: Store, runs: Sequence[RunRow], *, metric: str | None, stage: str) -> dict[str, Any]:
    """Compare runs by one metric.

    Parameters
    ----------
    runs : sequence of RunRow
        A comparison expands to its runs, a sweep to those of its trials, see
        `service.comparison.sweep_runs.sweep_runs`.
    metric : str, optional
        Such as ``accuracy``; without it the headline, see `shared.metrics.headline`.
    stage : {"train", "val", "test"}

    Returns
    -------
    dict
        See `service.api.chart_schemas.Comparison`.
    """
    sweeps = [sweep_runs(store, run) for run in runs if run.training_mode == "sweep"]
    members = _members(store, [*runs, *(run for sweep in sweeps for run in sweep.runs)])
    parent = _parent(store, runs, members)
    final = _final(parent, members)
    metric = metric or _headline(store, members, parent, final, stage=stage)
    columns, pooled = [], []
    federated: dict[str, list[RunCurve]] = {}
    grouped = _told_apart(members, {key: name for sweep in sweeps for key, name in sweep.trials.items()})
    named = labels(members, differs=[differs for _, differs in grouped])
    for run, label, (group, differs) in zip(members, named, grouped, strict=True):
        column, curve = _curve(store, run, metric=metric, stage=stage)
        columns.append({**member(run), "label": label, "group": group, "differs": differs, **column})
        if run.training_mode == "centralized":
            pooled.append(curve)
        elif run.training_mode == "federated":
            federated.setdefault(group, []).append(curve)
    row = next((row for row in final if row.metric == metric), None)
    direction = row.better if row else _better(members, metric=metric, stage=stage)
    positive = positive_class(members)
    with naming(positive):
        gaps = [
            curve_gap(pooled, own, group=group, metric=metric, stage=stage, better=direction)
            for group, own in federated.items()
        ]
    found = {
        "metric": metric,
        "better": direction,
        "stage": stage,
        "metrics": _metrics(store, members, stage=stage),
        "runs": columns,
        "gaps": gaps if pooled else [],
    }
    clients = number_of_clients(store, members)
    more = parent is not None and not parent.finished
    found["site_gains"] = parent.summary.get("site_gains") if parent and final else None
    found["warnings"] = warnings_of([*([parent] if parent and final else []), *members])
    found["positive"] = positive
    found["chosen"] = " ".join(sweep.chosen for sweep in sweeps if sweep.chosen)
    with naming(positive):
        found["final"] = [gap_record(own) for own in final]
        return {
            **found,
            "result": result(
                found, row, num_clients=clients, tested=when_tested(members), rows=final, more=more
            ),
        }


# What cannot be compared with the others of a stage.
_APART = {
    ("local", "val"): "each client alone is validated on its own rows",
    ("local", "train"): "each client alone trains on its own rows",
    ("federated", "train"): "training metrics are of the clients' own models, not of the global one",
}


def _members(store: Store, runs: Sequence[RunRow]) -> list[RunRow]:
    found: dict[int, RunRow] = {}
    for run in runs:
        several = members_of(store, run) if run.training_mode == "compare" else [run]
        found.update((one.id, one) for one in several if one.training_mode in ROLES)
    return list(found.values())


def _told_apart(runs: Sequence[RunRow], trials: Mapping[int, str]) -> list[tuple[str, str]]:
    """Groups, and what tells them apart: settings, or trials where these alone are not enough.

    Parameters
    ----------
    trials : mapping of int to str
        What the trials of a run's settings are called, by the run's id.
    """
    grouped = group_runs(runs)
    of_group = {group: (run.training_mode, text) for run, (group, text) in zip(runs, grouped, strict=True)}
    count = Counter(of_group.values())
    return [
        (group, trials.get(run.id, text) if count[of_group[group]] > 1 else text)
        for run, (group, text) in zip(runs, grouped, strict=True)
    ]


def _metrics(store: Store, runs: Sequence[RunRow], *, stage: str) -> list[str]:
    names = [set(store.series.metric_names(run.id, stage=stage, unit=unit(run))) for run in runs]
    begun = [known for known in names if known]  # a run without values yet does not restrict the choice
    return in_order(set.intersection(*begun)) if begun else []


def _headline(
    store: Store, runs: Sequence[RunRow], parent: RunRow | None, final: Sequence[GapRow], *, stage: str
) -> str:
    # That of the comparison: it does not change when the comparison ends.
    stored = parent and parent.summary.get("metric")
    if stored or final:
        return stored or headline(final).metric
    measured = [
        {*store.series.metric_names(run.id, stage=stage, unit=unit(run)), *_tested(run, stage)} for run in runs
    ]
    begun = [(run, names) for run, names in zip(runs, measured, strict=True) if names]
    shared = in_order(set.intersection(*(names for _, names in begun))) if begun else []
    defined = (
        name
        for name in shared
        if spec_of(name).source == "outputs"
        and all(_has(store, run, metric=name, stage=stage) for run, _ in begun)
    )
    return next(defined, LOSS)


def _better(runs: Sequence[RunRow], *, metric: str, stage: str) -> Better | None:
    own = next((mode for key, mode in map(stored_monitor, runs) if key == f"{stage}/{metric}"), None)
    return better(metric, mode=None if spec_of(metric).better else own)


def _has(store: Store, run: RunRow, *, metric: str, stage: str) -> bool:
    if _finite(_tested(run, stage).get(metric)) is not None:
        return True
    rows, _ = store.series.curve(run.id, stage=stage, name=metric)
    return any(_finite(value) is not None for _, _, value, _ in rows)


def _tested(run: RunRow, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = run.summary.get("test") or {}
    return found if stage == "test" else {}


def _curve(store: Store, run: RunRow, *, metric: str, stage: str) -> tuple[dict[str, Any], RunCurve]:
    by = unit(run)
    axes = x_axes(store, run)
    stored, total = store.series.curve(run.id, stage=stage, name=metric)
    rows = {}
    for number, epoch, value, num_examples in stored:
        step = number if by == "round" else epoch
        if step is not None:
            rows[step] = (math.nan if value is None else value, num_examples)
    numbers = sorted(rows)
    nothing = XValues(examples=0, seconds=None, bytes=None)
    at = [axes.get(number, nothing) for number in numbers]
    test = _finite((run.summary.get("test") or {}).get(metric))
    column = {
        "unit": by,
        "sampled": len(stored) < total or len(numbers) > MOST_POINTS,
        **thinned(
            {
                "step": numbers,
                "examples": [step.examples for step in at],
                "seconds": [step.seconds for step in at],
                "bytes": [step.bytes for step in at],
                "value": [_finite(rows[number][0]) for number in numbers],
            }
        ),
        "test": test,
        "apart": _APART.get((run.training_mode, stage), ""),
    }
    points = [
        CurvePoint(number=number, step=step, value=rows[number][0], num_examples=rows[number][1])
        for number, step in zip(numbers, at, strict=True)
        if math.isfinite(rows[number][0])
    ]
    return column, RunCurve(run=run, points=points, test=test)


def _final(parent: RunRow | None, runs: Sequence[RunRow]) -> list[GapRow]:
    # The final gap covers all seeds, so it is shown only if all twins of the comparison are.
    if parent is None or not {*_twins(parent)} <= {run.id for run in runs}:
        return []
    return stored_gap(parent.summary)


def _parent(store: Store, asked: Sequence[RunRow], members: Sequence[RunRow]) -> RunRow | None:
    """The one comparison that was asked for, or that all twins are of."""
    comparisons = [run for run in asked if run.training_mode == "compare"]
    if len(asked) == 1 and comparisons:
        return comparisons[0]
    twins = [run for run in members if run.training_mode in ("centralized", "federated")]
    parents = {run.comparison_id for run in twins}
    if any(run.sweep_id is not None for run in twins):  # a pooled twin of several comparisons belongs to none
        parents.discard(None)
    return store.runs.find(parents.pop() or 0) if len(parents) == 1 else None


def _twins(parent: RunRow) -> list[int]:
    twins = parent.summary.get("twins") or {}
    return [*twins.get("pooled", ()), *twins.get("federated", ())]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
