"""What `jobs` and `job_queue` share: the database's time, a job's locked row, and its events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.job_rows import JobRow
from shared.tracking.job_tables import job, job_event


def database_now(connection: sa.Connection) -> datetime:
    """The time by which leases are measured: the database's, for all machines; of SQLite, this machine's."""
    if connection.dialect.name == "postgresql":
        found: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return found.astimezone(UTC)
    return datetime.now(UTC)


def job_row(row: Any) -> JobRow:
    """The row of a job as it was read."""
    return JobRow(**row._mapping)


def lock_job(connection: sa.Connection, job_id: int) -> Any:
    """A job's row, which no other transaction changes until this one ends.

    Raises
    ------
    TrackingError
        There is no such job.
    """
    row = connection.execute(sa.select(job).where(job.c.id == job_id).with_for_update()).one_or_none()
    if row is None:
        raise no_job(job_id)
    return row


def note(connection: sa.Connection, job_id: int, kind: str, *, attempt: int, detail: str = "") -> None:
    """Keep that something happened to a job."""
    values = {
        "job_id": job_id,
        "time": database_now(connection),
        "kind": kind,
        "attempt": attempt,
        "detail": detail,
    }
    connection.execute(sa.insert(job_event).values(values))


def no_job(job_id: int) -> TrackingError:
    """The error for a job that does not exist."""
    return TrackingError(f"there is no job {job_id}; `fedtwin jobs` lists those that are")
