"""Rows of the job queue as plain, frozen data, and the names of its priorities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.tracking.rows import Row

PRIORITIES = ("critical", "high", "normal", "low")  # by their number in the table: the smallest goes first
ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class JobRow(Row):
    """One training that a worker shall run.

    Attributes
    ----------
    mode : {"centralized", "federated", "compare", "sweep"}
    status : {"queued", "running", "completed", "failed", "cancelled"}
    priority : int
        Place in `PRIORITIES`.
    config : dict
        The resolved snapshot that its run is begun with; of a sweep, its plan.
    overrides : list of str
        What was asked for, in Hydra's grammar.
    run_after : datetime
        Not before; UTC.
    attempt : int
        Counts claims. Only who holds the present one may write: an older one is fenced off.
    failures : int
        Attempts that failed for a reason that may pass.
    lost : int
        Attempts whose worker was gone before they ended.
    worker : str or None
        Who has it, host and process.
    lease_until : datetime or None
        When the worker counts as gone unless it says that it lives.
    run_id : int or None
        The run that it trains, the same in all attempts.
    error_code : str or None
        Stable, see `shared.tracking.job_errors`.
    request_hash : str
        SHA-256 of the request, to tell a repeated one from another one with the same key.
    dataset_id : int or None
        The uploaded dataset that it is trained on, see `shared.tracking.datasets`.
    backend : str or None
        Only workers with this `WorkerRow.backend` claim it; None: all do.
    """

    id: int
    mode: str
    name: str
    status: str
    priority: int
    config: dict[str, Any]
    overrides: list[str]
    tags: list[str]
    run_after: datetime
    attempt: int
    failures: int
    lost: int
    max_retries: int
    worker: str | None
    lease_until: datetime | None
    cancel_requested: bool
    run_id: int | None
    error_code: str | None
    error: str | None
    idempotency_key: str | None
    request_hash: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    tenant: str
    dataset_id: int | None
    backend: str | None

    @property
    def finished(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class JobEventRow(Row):
    """One thing that happened to a job: submitted, claimed, lost, retried, ..."""

    id: int
    job_id: int
    time: datetime
    kind: str
    attempt: int
    detail: str


@dataclass(frozen=True, slots=True)
class ScheduleRow(Row):
    """A training that is queued again and again; what it shares with a `JobRow` is that of its jobs.

    Attributes
    ----------
    cron : str
        Minute, hour, day of month, month, day of week.
    time_zone : str
        Name of the IANA database, in which ``cron`` is meant.
    next_at : datetime
        When the next job is queued; UTC.
    last_at : datetime or None
        For which time the last one was queued.
    """

    id: int
    cron: str
    time_zone: str
    mode: str
    name: str
    priority: int
    config: dict[str, Any]
    overrides: list[str]
    tags: list[str]
    max_retries: int
    paused: bool
    next_at: datetime
    last_at: datetime | None
    last_job_id: int | None
    idempotency_key: str | None
    request_hash: str
    created: datetime
    tenant: str
    dataset_id: int | None
    backend: str | None
