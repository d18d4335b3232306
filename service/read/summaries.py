"""Rows of the store as the JSON of the page: used by the REST API (`api`) and by the live stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from service.read.run_config import monitored, planned_runs, setting, unit, without_secrets
from shared.metrics.catalogue import spec_of
from shared.tracking.overview import Curve, Marks
from shared.tracking.rows import ClientRow, MetricRow, RoundRow, RunRow, ServerEvaluationRow, json_ready
from shared.tracking.store import Store

SPARKLINE_POINTS = 60


def run_summary(store: Store, run: RunRow) -> dict[str, Any]:
    """One run, as a list shows it.

    Returns
    -------
    dict
        See `service.api.schemas.RunSummary`.
    """
    return run_summaries(store, [run])[0]


def run_summaries(store: Store, runs: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Runs, as a list shows them: two queries for all of them."""
    marks = store.marks([run.id for run in runs])
    wanted = (_sparkline(run, marks[run.id]) for run in runs if run.id in marks)
    curves = store.curves([curve for curve in wanted if curve is not None])
    unknown = Marks(last_round=None, last_epoch=None, done_round=None, last_event=None)  # deleted since
    return [_summary(run, marks.get(run.id, unknown), curves.get(run.id, [])) for run in runs]


def metric_row(row: MetricRow) -> dict[str, Any]:
    """One measured value.

    Returns
    -------
    dict
        See `service.api.schemas.Row`; ``not_finite`` is only there where ``value`` is null.
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
        See `service.api.schemas.RoundRecord`.
    """
    values = row.as_dict()
    del values["run_id"]
    return values


def evaluation(row: ServerEvaluationRow) -> dict[str, Any]:
    """One evaluation of the global model.

    Returns
    -------
    dict
        See `service.api.schemas.Evaluation`; ``not_finite`` is only there where a value is null.
    """
    values = row.as_dict()
    del values["run_id"]
    measured = {**row.metrics, "loss": row.loss}
    not_finite = {name: repr(value) for name, value in measured.items() if not math.isfinite(value)}
    if not_finite:
        values["not_finite"] = not_finite
    return values


def client(row: ClientRow) -> dict[str, Any]:
    """One participant.

    Returns
    -------
    dict
        See `service.api.schemas.Client`.
    """
    values = row.as_dict()
    del values["run_id"]
    return values


def _summary(run: RunRow, marks: Marks, values: Sequence[float]) -> dict[str, Any]:
    shown = {
        "id": run.id,
        "name": run.name,
        "description": run.description,
        "training_mode": run.training_mode,
        "status": run.status,
        "seed": run.seed,
        "parent_id": run.parent_id,
        "started": run.started,
        "ended": run.ended,
        "seconds": run.seconds,
        "error": without_secrets(run.error),
        "stop_reason": run.stop_reason,
        "host": run.host,
        "data": setting(run.config, "data.name"),
        "model": setting(run.config, "model.name"),
        "strategy": setting(run.config, "strategy.name") if run.training_mode == "federated" else None,
        "progress": _progress(run, marks),
        "planned_runs": planned_runs(run),
        "monitor": dict(zip(("key", "mode"), monitored(run), strict=True)),
        "best": _best(run, values),
        "sparkline": _thin(values),
        "last_event": marks.last_event,
    }
    ready: dict[str, Any] = json_ready(shown)
    return ready


def _progress(run: RunRow, marks: Marks) -> dict[str, Any] | None:
    if run.training_mode == "compare":
        return None
    if run.training_mode == "federated":
        return {
            "unit": "round",
            "done": marks.done_round or 0,
            "total": setting(run.config, "federation.num_rounds"),
        }
    return {
        "unit": "epoch",
        "done": marks.last_epoch or 0,
        "total": setting(run.config, "trainer.max_epochs"),
    }


def _sparkline(run: RunRow, marks: Marks) -> Curve | None:
    last = marks.last_round if unit(run) == "round" else marks.last_epoch
    if last is None:
        return None
    stage, _, name = monitored(run)[0].partition("/")
    # Of a run that is over the best value is known, so that its curve need not be read in full.
    stride = 1 if _stored_best(run) is None else math.ceil(last / (SPARKLINE_POINTS - 1)) or 1
    return Curve(run_id=run.id, unit=unit(run), stage=stage, name=name, last=last, stride=stride)


def _best(run: RunRow, values: Sequence[float]) -> dict[str, Any] | None:
    key, mode = monitored(run)
    best = _stored_best(run)
    if best is None and values:
        best = None if mode is None else max(values) if mode == "max" else min(values)
    return None if best is None else {"key": key, "value": best}


def _stored_best(run: RunRow) -> float | None:
    # `Store.finish_run` keeps the best validation values, in the direction of the catalogue where it knows one.
    key, mode = monitored(run)
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
