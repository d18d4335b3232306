"""What `jobs`, `schedules` and `job_queue` share: locks, keys, and a job's events."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.database import database_now
from shared.tracking.job_rows import JobRow
from shared.tracking.job_tables import job, job_event
from shared.tracking.tenants import Scope, within
from shared.tracking.webhook_events import tell_job

# What webhooks are told, by the kind of what happened.
TOLD = {
    **dict.fromkeys(("submitted", "retried", "retry", "released"), "job.queued"),
    "claimed": "job.started",
    "completed": "job.completed",
    "failed": "job.failed",
    "cancelled": "job.cancelled",
}


class KeyReused(TrackingError):
    """An idempotency key came with another request than the first time."""


def job_row(row: Any) -> JobRow:
    """The row of a job as it was read."""
    return JobRow(**row._mapping)


def lock_job(connection: sa.Connection, job_id: int, scope: Scope) -> Any:
    """A job's row, which no other transaction changes until this one ends.

    Raises
    ------
    TrackingError
        There is no such job in the scope.
    """
    mine = (job.c.id == job_id) & within(job.c.tenant, scope)
    row = connection.execute(sa.select(job).where(mine).with_for_update()).one_or_none()
    if row is None:
        raise no_job(job_id)
    return row


def lock_key(connection: sa.Connection, owner: str, key: str) -> None:
    """Let no other transaction use a tenant's key until this one ends; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"{owner} {key}", 0)))
        )


def not_of(connection: sa.Connection, owner: str, key: str, other: sa.Table, *, what: str) -> None:
    """Reject a key that stands for a row of another table: a job's for a schedule, or the reverse.

    Raises
    ------
    KeyReused
    """
    query = sa.select(other.c.id).where(other.c.tenant == owner, other.c.idempotency_key == key)
    found = connection.execute(query).first()
    if found is not None:
        raise KeyReused(
            f"the idempotency key of {what} {found.id} came again with another request; use a new key"
        )


def no_two_requests(found: Any, request_hash: str, *, what: str) -> None:
    """Reject a key that stands for another request.

    Parameters
    ----------
    what : str
        Whose row was found.

    Raises
    ------
    KeyReused
    """
    if found.request_hash != request_hash:
        raise KeyReused(
            f"the idempotency key of {what} {found.id} came again with another request; use a new key for a "
            f"new {what}"
        )


def note(connection: sa.Connection, job_id: int, kind: str, *, attempt: int, detail: str = "") -> None:
    """Keep that something happened to a job, once the job is as it is then; webhooks are told of it."""
    values = {
        "job_id": job_id,
        "time": database_now(connection),
        "kind": kind,
        "attempt": attempt,
        "detail": detail,
    }
    connection.execute(sa.insert(job_event).values(values))
    if kind in TOLD:
        tell_job(connection, job_id, TOLD[kind])


def no_job(job_id: int) -> TrackingError:
    """The error for a job that does not exist."""
    return TrackingError(f"there is no job {job_id}; `fedtwin jobs` lists those that are")
