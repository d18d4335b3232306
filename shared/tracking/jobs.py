"""`Jobs`: how training jobs are submitted, found, cancelled and asked for again; workers use `job_queue`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.access_tables import tenant
from shared.tracking.database import Database, database_now
from shared.tracking.dataset_use import hold
from shared.tracking.job_events import (
    job_row,
    lock_job,
    lock_key,
    no_job,
    no_two_requests,
    not_of,
    note,
)
from shared.tracking.job_rows import ENDED, PRIORITIES, JobEventRow, JobRow
from shared.tracking.job_tables import job, job_event, schedule
from shared.tracking.tenants import Scope, owner_of, within


class JobState(TrackingError):
    """A job is not in a state in which it can be changed so."""


class QueueFull(TrackingError):
    """A tenant has as many jobs in the queue as it may."""


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What is stored of a job when it is submitted; see `JobRow`."""

    mode: str
    name: str
    config: Mapping[str, Any]
    overrides: Sequence[str] = ()
    tags: Sequence[str] = ()
    priority: str = "normal"
    run_after: datetime | None = None
    max_retries: int = 0
    idempotency_key: str | None = None
    request_hash: str = field(default="")
    dataset_id: int | None = None
    backend: str | None = None


class Jobs:
    """Stores and reads training jobs of a scope; when a method that writes returns, its rows are on disk."""

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database, self._scope = database, scope

    def submit(self, new: NewJob) -> JobRow:
        """Queue a job; the same key with the same request gives the job that is there already.

        Raises
        ------
        KeyReused
            The key came before, with another request.
        QueueFull
        NoDataset
            That of the job has been deleted meanwhile.
        """
        owner = owner_of(self._scope)
        with self._database.write() as connection:
            if new.idempotency_key is not None:
                lock_key(connection, owner, new.idempotency_key)
                not_of(connection, owner, new.idempotency_key, schedule, what="schedule")
                query = sa.select(job).where(
                    job.c.tenant == owner, job.c.idempotency_key == new.idempotency_key
                )
                found = connection.execute(query).one_or_none()
                if found is not None:
                    no_two_requests(found, new.request_hash, what="job")
                    return job_row(found)
            check_room(connection, owner)
            hold(connection, owner, new.dataset_id)
            return insert_job(connection, new, owner=owner)

    def find(self, job_id: int) -> JobRow | None:
        """One job, if there is such a job."""
        mine = (job.c.id == job_id) & within(job.c.tenant, self._scope)
        rows = self._database.select(sa.select(job).where(mine))
        return job_row(rows[0]) if rows else None

    def get(self, job_id: int) -> JobRow:
        """One job.

        Raises
        ------
        TrackingError
            There is no such job.
        """
        found = self.find(job_id)
        if found is None:
            raise no_job(job_id)
        return found

    def search(
        self,
        *,
        status: str | None = None,
        mode: str | None = None,
        run_id: int | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[JobRow]:
        """Jobs, newest first.

        Parameters
        ----------
        before : int, optional
            Only jobs with a smaller id: the last one of the page before.
        """
        query = sa.select(job).where(within(job.c.tenant, self._scope)).order_by(job.c.id.desc()).limit(limit)
        for column, value in ((job.c.status, status), (job.c.mode, mode), (job.c.run_id, run_id)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(job.c.id < before)
        return [job_row(row) for row in self._database.select(query)]

    def events(self, job_id: int) -> list[JobEventRow]:
        """What happened to a job, oldest first."""
        of_job = sa.select(job_event).join(job, job.c.id == job_event.c.job_id)
        mine = (job_event.c.job_id == job_id) & within(job.c.tenant, self._scope)
        query = of_job.where(mine).order_by(job_event.c.id)
        return [JobEventRow(**row._mapping) for row in self._database.select(query)]

    def of_run(self, run_id: int) -> list[int]:
        """Jobs that trained a run, also one that is deleted, and that no worker has now."""
        trained = (job_event.c.kind == "run") & (job_event.c.detail == str(run_id))
        query = sa.select(job.c.id).join(job_event, job_event.c.job_id == job.c.id).where(trained)
        query = query.where(job.c.status != "running", within(job.c.tenant, self._scope)).order_by(job.c.id)
        return [row.id for row in self._database.select(query)]

    def position(self, row: JobRow) -> int | None:
        """Place of a job among those of its tenant that may begin now, from 1; None if it may not."""
        if row.status != "queued":
            return None
        with self._database.read() as connection:
            now = database_now(connection)
            if row.run_after > now:
                return None
            earlier = (job.c.priority < row.priority) | ((job.c.priority == row.priority) & (job.c.id < row.id))
            ready = (job.c.status == "queued") & (job.c.run_after <= now) & (job.c.tenant == row.tenant)
            query = sa.select(sa.func.count()).select_from(job).where(ready, earlier)
            return int(connection.execute(query).scalar_one()) + 1

    def cancel(self, job_id: int) -> JobRow:
        """End a queued job, or ask the worker of a running one to stop it; a cancelled one stays as it is.

        Raises
        ------
        TrackingError
            There is no such job.
        JobState
            It has ended in another way.
        """
        with self._database.write() as connection:
            row = lock_job(connection, job_id, self._scope)
            if row.status in ("completed", "failed"):
                raise JobState(f"job {job_id} is {row.status} already; there is nothing to cancel")
            if row.status == "queued":
                changes = {"status": "cancelled", "ended": database_now(connection), "cancel_requested": True}
                kind, detail = "cancelled", "before it began"
            elif row.status == "running" and not row.cancel_requested:
                changes = {"cancel_requested": True}
                kind, detail = "cancel_requested", ""
            else:
                return job_row(row)
            connection.execute(sa.update(job).where(job.c.id == job_id).values(changes))
            note(connection, job_id, kind, attempt=row.attempt, detail=detail)
            return job_row(connection.execute(sa.select(job).where(job.c.id == job_id)).one())

    def retry(self, job_id: int) -> JobRow:
        """Queue a job again that failed or was cancelled; its run is resumed from the last checkpoint.

        Raises
        ------
        TrackingError
            There is no such job.
        JobState
            It has not ended, or is completed.
        QueueFull
        NoDataset
            That of the job has been deleted.
        """
        with self._database.write() as connection:
            row = lock_job(connection, job_id, self._scope)
            if row.status not in ENDED or row.status == "completed":
                raise JobState(f"job {job_id} is {row.status}; only a failed or cancelled job can be retried")
            check_room(connection, row.tenant)
            hold(connection, row.tenant, row.dataset_id)
            changes = {
                "status": "queued",
                "run_after": database_now(connection),
                "failures": 0,
                "lost": 0,
                "cancel_requested": False,
                "error_code": None,
                "error": None,
                "ended": None,
            }
            connection.execute(sa.update(job).where(job.c.id == job_id).values(changes))
            note(connection, job_id, "retried", attempt=row.attempt, detail="asked for")
            return job_row(connection.execute(sa.select(job).where(job.c.id == job_id)).one())

    def set_priority(self, job_id: int, priority: str) -> JobRow:
        """Move a queued job in the queue.

        Raises
        ------
        TrackingError
            There is no such job.
        JobState
            It is not queued.
        """
        with self._database.write() as connection:
            row = lock_job(connection, job_id, self._scope)
            if row.status != "queued":
                raise JobState(f"job {job_id} is {row.status}; the priority of a queued job can be changed")
            mine = job.c.id == job_id
            connection.execute(sa.update(job).where(mine).values(priority=PRIORITIES.index(priority)))
            note(connection, job_id, "priority", attempt=row.attempt, detail=priority)
            return job_row(connection.execute(sa.select(job).where(mine)).one())


def check_room(connection: sa.Connection, owner: str) -> None:
    """Reject a job of a tenant that has as many in the queue as it may.

    Raises
    ------
    QueueFull
    """
    found, most = _queued(connection, owner)
    if most is not None and found >= most:
        raise QueueFull(
            f"{found} jobs wait already, and this tenant may have {most}; try again when one has begun"
        )


def has_room(connection: sa.Connection, owner: str) -> bool:
    """Whether a tenant may have one more job in the queue."""
    found, most = _queued(connection, owner)
    return most is None or found < most


def _queued(connection: sa.Connection, owner: str) -> tuple[int, int | None]:
    # How many jobs of a tenant wait, and how many may. The row is locked: two requests at once do not both take
    # the last place.
    most = connection.execute(
        sa.select(tenant.c.max_queued).where(tenant.c.name == owner).with_for_update()
    ).scalar()
    if most is None:
        return 0, None
    queued = sa.select(sa.func.count()).select_from(job).where(job.c.status == "queued", job.c.tenant == owner)
    return int(connection.execute(queued).scalar_one()), most


def insert_job(connection: sa.Connection, new: NewJob, *, owner: str, detail: str = "") -> JobRow:
    """Queue a job within a transaction; see `Jobs.submit`."""
    now = database_now(connection)
    values = {
        "mode": new.mode,
        "name": new.name,
        "status": "queued",
        "priority": PRIORITIES.index(new.priority),
        "config": new.config,
        "overrides": list(new.overrides),
        "tags": list(new.tags),
        "run_after": new.run_after or now,
        "attempt": 0,
        "failures": 0,
        "lost": 0,
        "max_retries": new.max_retries,
        "cancel_requested": False,
        "idempotency_key": new.idempotency_key,
        "request_hash": new.request_hash,
        "created": now,
        "tenant": owner,
        "dataset_id": new.dataset_id,
        "backend": new.backend,
    }
    key = connection.execute(sa.insert(job).values(values)).inserted_primary_key
    assert key is not None
    note(connection, key[0], "submitted", attempt=0, detail=detail)
    return job_row(connection.execute(sa.select(job).where(job.c.id == key[0])).one())
