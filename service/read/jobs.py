"""Training jobs as JSON: their state, progress and log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.jobs.attempt import LOG_FILE
from service.read.run_config import planned_runs
from service.read.shown import Shown
from service.read.summaries import run_summaries
from shared.runtime.home import Home
from shared.tracking.job_rows import PRIORITIES, JobRow, ScheduleRow
from shared.tracking.store import Store

MOST_LOG = 64 * 1024  # bytes of an answer
_SHOWN = (
    *("id", "mode", "name", "status", "tags", "created", "run_after", "started", "ended", "run_id", "attempt"),
    *("failures", "max_retries", "backend", "cancel_requested", "error_code", "error"),
)


def job_summaries(store: Store, rows: Sequence[JobRow], *, shown: Shown) -> list[dict[str, Any]]:
    """Jobs as a list shows them.

    Returns
    -------
    list of dict
        See `service.api.job_schemas.Job`.
    """
    return [_summary(store, row, shown) for row in rows]


def job_detail(store: Store, row: JobRow, *, shown: Shown) -> dict[str, Any]:
    """One job with its events and newest metrics.

    Returns
    -------
    dict
        See `service.api.job_schemas.JobDetail`.
    """
    events = [event.as_dict() for event in store.jobs.events(row.id)]
    kept = ("time", "kind", "attempt", "detail")
    latest = [] if row.run_id is None else store.metrics.latest(row.run_id)
    metrics = {f"{one.stage}/{one.name}": one.as_dict()["value"] for one in latest if one.client_id is None}
    workers = {row.worker or "", *(event["detail"] for event in events if event["kind"] == "claimed")}
    told = {
        **_summary(store, row, shown),
        "worker": row.worker if shown.everything else None,
        "overrides": row.overrides,
        "metrics": metrics,
        "events": [{name: event[name] for name in kept} for event in events],
    }
    found: dict[str, Any] = shown.of(told, workers=workers)
    return found


def schedule_view(row: ScheduleRow, *, shown: Shown) -> dict[str, Any]:
    """One schedule.

    Returns
    -------
    dict
        See `service.api.job_schemas.Schedule`.
    """
    hidden = ("config", "idempotency_key", "request_hash", "tenant", "dataset_id")
    values = {name: value for name, value in row.as_dict().items() if name not in hidden}
    return {**shown.of(values), "priority": PRIORITIES[row.priority]}


def job_log(
    home: Home, row: JobRow, *, shown: Shown, after: int, most_lines: int | None = None
) -> dict[str, Any] | None:
    """Whole lines of a job's log behind a byte; None where there is no log on this machine.

    Parameters
    ----------
    most_lines : int, optional
        At most so many.

    Returns
    -------
    dict or None
        See `service.api.job_schemas.JobLog`.
    """
    try:
        with (home.job_dir(row.id) / LOG_FILE).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(min(after, size))
            start, content = file.tell(), file.read(MOST_LOG)
    except OSError:
        return None
    at_end = start + len(content) >= size
    whole, _, rest = content.rpartition(b"\n")
    if (not whole and len(content) == MOST_LOG) or (at_end and row.finished):
        whole, rest = content, b""  # a line longer than an answer; or the last one
    cursor = start + len(content) - len(rest)
    parts = whole.removesuffix(b"\n").split(b"\n") if cursor > start else []
    if most_lines is not None and len(parts) > most_lines:
        parts = parts[:most_lines]
        cursor = start + sum(len(part) + 1 for part in parts)
    lines = [str(shown.of(part.decode("utf-8", "replace"))) for part in parts]
    return {"lines": lines, "cursor": cursor, "ended": row.finished and cursor >= size}


def _summary(store: Store, row: JobRow, shown: Shown) -> dict[str, Any]:
    values = row.as_dict()
    return {
        **shown.of({name: values[name] for name in _SHOWN}, workers=[row.worker or ""]),
        "priority": PRIORITIES[row.priority],
        "position": store.jobs.position(row),
        "progress": _progress(store, row),
    }


def _progress(store: Store, row: JobRow) -> dict[str, Any] | None:
    if row.status == "completed":
        return {"percent": 100.0, "step": "completed"}
    run = None if row.run_id is None else store.runs.find(row.run_id)
    if run is None:
        return None
    planned = None if run.training_mode == "sweep" else planned_runs(run)  # of a sweep, its trials count
    runs = [run] if planned is None else store.runs.children(run.id)
    shares, step = [], "begun"
    for one in run_summaries(store, runs) if runs else ():
        progress = one["progress"]
        done, total = (progress["done"], progress["total"]) if progress else (0, None)
        share = 1.0 if one["status"] == "completed" else done / total if total else 0.0
        shares.append(min(share, 1.0))
        if share < 1.0 and progress:
            step = f"{one['training_mode']}: {progress['unit']} {done} of {total or '?'}"
    percent = 100 * sum(shares) / (planned or 1)
    return {"percent": round(min(percent, 99.9), 1), "step": step}
