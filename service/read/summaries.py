"""Run summaries and stored rows as JSON, for the REST API and the live stream."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from service.read.members import client_name
from service.read.run_config import planned_runs, setting, unit
from shared.metrics.catalogue import spec_of
from shared.runtime.secrets import without_secrets
from shared.tracking.curves import Curve
from shared.tracking.monitor import stored_monitor
from shared.tracking.rows import (
    ClientRow,
    MetricRow,
    RoundRow,
    RunRow,
    ServerEvaluationRow,
    TrialRow,
    json_ready,
)
from shared.tracking.run_progress import RunProgress
from shared.tracking.store import Store
from shared.tracking.twins import headline_record

SPARKLINE_POINTS = 60


def run_summary(store: Store, run: RunRow) -> dict[str, Any]:
    """Summary of one run.

    Returns
    -------
    dict
        See `service.read.schemas.RunSummary`.
    """
    return run_summaries(store, [run])[0]


def run_summaries(store: Store, runs: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Summaries of runs, with two queries in total, and one more where sweeps are among them."""
    progress = store.runs.progress([run.id for run in runs])
    wanted = (_sparkline(run, progress[run.id]) for run in runs if run.id in progress)
    curves = store.series.curves([curve for curve in wanted if curve is not None])
    unknown = RunProgress(last_round=None, last_epoch=None, done_round=None, last_event=None)  # deleted since
    sweeps = [run.id for run in runs if run.training_mode == "sweep"]
    trials = store.trials.counts(sweeps) if sweeps else {}
    return [
        _summary(run, progress.get(run.id, unknown), curves.get(run.id, []), trials=trials.get(run.id))
        for run in runs
    ]


def metric_row(row: MetricRow) -> dict[str, Any]:
    """One metric value.

    Returns
    -------
    dict
        See `service.read.schemas.Row`; ``not_finite`` is present only if ``value`` is null.
    """
    values = row.as_dict()
    del values["run_id"]
    if not math.isfinite(row.value):
        values["not_finite"] = repr(row.value)  # nan, inf or -inf
    return values


def round_record(row: RoundRow) -> dict[str, Any]:
    """One server round.

    Returns
    -------
    dict
        See `service.read.schemas.RoundRecord`.
    """
    values = row.as_dict()
    del values["run_id"]
    return values


def evaluation(row: ServerEvaluationRow) -> dict[str, Any]:
    """One evaluation of the global model.

    Returns
    -------
    dict
        See `service.read.schemas.Evaluation`; ``not_finite`` is present only if a value is null.
    """
    values = row.as_dict()
    del values["run_id"]
    measured = {**row.metrics, "loss": row.loss}
    not_finite = {name: repr(value) for name, value in measured.items() if not math.isfinite(value)}
    if not_finite:
        values["not_finite"] = not_finite
    return values


def client(row: ClientRow) -> dict[str, Any]:
    """One client of a federated run.

    Returns
    -------
    dict
        See `service.read.schemas.Client`.
    """
    values = row.as_dict()
    del values["run_id"]
    return values


def _summary(
    run: RunRow, progress: RunProgress, values: Sequence[float], *, trials: Mapping[str, int] | None
) -> dict[str, Any]:
    shown = {
        "id": run.id,
        "name": run.name,
        "description": run.description,
        "tags": run.tags,
        "training_mode": run.training_mode,
        "status": run.status,
        "seed": run.seed,
        "parent_id": run.parent_id,
        "sweep_id": run.sweep_id,
        "started": run.started,
        "ended": run.ended,
        "seconds": run.seconds,
        "error": without_secrets(run.error),
        "stop_reason": run.stop_reason,
        "host": run.host,
        "data": setting(run.config, "data.name"),
        "model": setting(run.config, "model.name"),
        "strategy": setting(run.config, "strategy.name") if run.training_mode == "federated" else None,
        "client_name": client_name(run),
        "progress": _progress(run, progress, trials=trials),
        "planned_runs": planned_runs(run),
        "monitor": dict(zip(("key", "mode"), stored_monitor(run), strict=True)),
        "best": _best(run, values),
        "gap": headline_record(run),
        "sparkline": _thin(values),
        "last_event": progress.last_event,
    }
    ready: dict[str, Any] = json_ready(shown)
    return ready


def trial(row: TrialRow) -> dict[str, Any]:
    """One trial of a sweep.

    Returns
    -------
    dict
        See `service.read.schemas.Trial`.
    """
    values = row.as_dict()
    del values["sweep_id"], values["digest"]
    hidden: dict[str, Any] = without_secrets(values)
    return hidden


def _progress(run: RunRow, progress: RunProgress, *, trials: Mapping[str, int] | None) -> dict[str, Any] | None:
    if trials is not None:
        ended = sum(trials[status] for status in ("completed", "failed", "pruned"))
        planned = (run.summary.get("sweep") or {}).get("trials") or 0  # a search has yet to ask for some
        return {"unit": "trial", "done": ended, "total": max(sum(trials.values()), planned)}
    if run.training_mode == "compare":
        return None
    if run.training_mode == "federated":
        return {
            "unit": "round",
            "done": progress.done_round or 0,
            "total": setting(run.config, "federation.num_rounds"),
        }
    return {
        "unit": "epoch",
        "done": progress.last_epoch or 0,
        "total": setting(run.config, "trainer.max_epochs"),
    }


def _sparkline(run: RunRow, progress: RunProgress) -> Curve | None:
    last = progress.last_round if unit(run) == "round" else progress.last_epoch
    if last is None:
        return None
    stage, _, name = stored_monitor(run)[0].partition("/")
    # The best value of a finished run is stored, so that its curve need not be read in full.
    stride = 1 if _stored_best(run) is None else math.ceil(last / (SPARKLINE_POINTS - 1)) or 1
    return Curve(run_id=run.id, unit=unit(run), stage=stage, name=name, last=last, stride=stride)


def _best(run: RunRow, values: Sequence[float]) -> dict[str, Any] | None:
    key, mode = stored_monitor(run)
    best = _stored_best(run)
    if best is None and values:
        best = None if mode is None else max(values) if mode == "max" else min(values)
    return None if best is None else {"key": key, "value": best}


def _stored_best(run: RunRow) -> float | None:
    # `Runs.finish` stores the best validation values, in the catalogue's direction where it has one.
    key, mode = stored_monitor(run)
    stage, _, name = key.partition("/")
    if not run.finished or stage != "val" or (spec_of(name).mode or mode) != mode:
        return None
    best: float | None = (run.summary.get("best") or {}).get(name)
    return best


def _thin(values: Sequence[float]) -> list[float]:
    if len(values) <= SPARKLINE_POINTS:
        return list(values)
    step = (len(values) - 1) / (SPARKLINE_POINTS - 1)
    return [values[round(place * step)] for place in range(SPARKLINE_POINTS)]
