"""`Schedules`: trainings that are queued by cron expressions; whoever looks when one is due queues it, once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import ConfigError, TrackingError
from shared.tracking.cron import next_time
from shared.tracking.database import Database, database_now
from shared.tracking.dataset_use import hold
from shared.tracking.job_events import lock_key, no_two_requests, not_of
from shared.tracking.job_rows import ENDED, PRIORITIES, JobRow, ScheduleRow
from shared.tracking.job_tables import job, schedule
from shared.tracking.jobs import NewJob, check_room, has_room, insert_job
from shared.tracking.tenants import Scope, owner_of, within


class Schedules:
    """Stores and reads schedules of a scope; when a method that writes returns, its rows are on disk."""

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database, self._scope = database, scope

    def add(self, new: NewJob, *, cron: str, time_zone: str) -> ScheduleRow:
        """Begin a schedule; the same key with the same request gives the one that is there already.

        Parameters
        ----------
        new : NewJob
            What each of its jobs is; its ``run_after`` is not used.

        Raises
        ------
        ConfigError
            The expression or the time zone cannot be read.
        KeyReused
            The key came before, with another request.
        NoDataset
            That of its jobs has been deleted meanwhile.
        """
        owner = owner_of(self._scope)
        with self._database.write() as connection:
            if new.idempotency_key is not None:
                lock_key(connection, owner, new.idempotency_key)
                not_of(connection, owner, new.idempotency_key, job, what="job")
                query = sa.select(schedule).where(
                    schedule.c.tenant == owner, schedule.c.idempotency_key == new.idempotency_key
                )
                found = connection.execute(query).one_or_none()
                if found is not None:
                    no_two_requests(found, new.request_hash, what="schedule")
                    return ScheduleRow(**found._mapping)
            now = database_now(connection)
            values = {
                "cron": cron,
                "time_zone": time_zone,
                "mode": new.mode,
                "name": new.name,
                "priority": PRIORITIES.index(new.priority),
                "config": new.config,
                "overrides": list(new.overrides),
                "tags": list(new.tags),
                "max_retries": new.max_retries,
                "paused": False,
                "next_at": next_time(cron, time_zone=time_zone, after=now),
                "idempotency_key": new.idempotency_key,
                "request_hash": new.request_hash,
                "created": now,
                "tenant": owner,
                "dataset_id": new.dataset_id,
                "backend": new.backend,
            }
            hold(connection, owner, new.dataset_id)
            key = connection.execute(sa.insert(schedule).values(values)).inserted_primary_key
            assert key is not None
            return self._read(connection, key[0])

    def find(self, schedule_id: int) -> ScheduleRow | None:
        """One schedule, if there is such a schedule."""
        rows = self._database.select(sa.select(schedule).where(self._mine(schedule_id)))
        return ScheduleRow(**rows[0]._mapping) if rows else None

    def search(self, *, before: int | None = None, limit: int | None = None) -> list[ScheduleRow]:
        """Schedules, newest first.

        Parameters
        ----------
        before : int, optional
            Only those with a smaller id: the last one of the page before.
        """
        mine = within(schedule.c.tenant, self._scope)
        query = sa.select(schedule).where(mine).order_by(schedule.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(schedule.c.id < before)
        return [ScheduleRow(**row._mapping) for row in self._database.select(query)]

    def pause(self, schedule_id: int, *, paused: bool) -> ScheduleRow:
        """Queue nothing until it is continued; what was missed meanwhile is not made up for.

        Raises
        ------
        TrackingError
            There is no such schedule.
        """
        with self._database.write() as connection:
            row = self._lock(connection, schedule_id)
            changes: dict[str, Any] = {"paused": paused}
            if row.paused and not paused:
                now = database_now(connection)
                changes["next_at"] = next_time(row.cron, time_zone=row.time_zone, after=now)
            connection.execute(sa.update(schedule).where(schedule.c.id == schedule_id).values(changes))
            return self._read(connection, schedule_id)

    def delete(self, schedule_id: int) -> None:
        """Delete a schedule; the jobs that it queued stay.

        Raises
        ------
        TrackingError
            There is no such schedule.
        """
        with self._database.write() as connection:
            self._lock(connection, schedule_id)
            connection.execute(sa.delete(schedule).where(schedule.c.id == schedule_id))

    def run_now(self, schedule_id: int) -> JobRow:
        """Queue a job of a schedule at once; when the next one is due stays as it is.

        Raises
        ------
        TrackingError
            There is no such schedule.
        QueueFull
        """
        with self._database.write() as connection:
            row = self._lock(connection, schedule_id)
            check_room(connection, row.tenant)
            detail = f"schedule {row.id}, asked for"
            queued = insert_job(connection, _new_job(row), owner=row.tenant, detail=detail)
            mine = schedule.c.id == schedule_id
            connection.execute(sa.update(schedule).where(mine).values(last_job_id=queued.id))
            return queued

    def queue_due(self) -> list[int]:
        """Queue a job of each schedule that is due, of every tenant; of several times that were missed, one.

        A schedule whose last job has not ended, or whose tenant has as many jobs in the queue as it may, skips
        its time: trainings do not pile up. One whose next time cannot be told any more is paused.

        Returns
        -------
        list of int
            The jobs.
        """
        with self._database.read() as connection:  # most looks find nothing, and need not lock
            if connection.execute(_due(connection).limit(1)).first() is None:
                return []
        queued = []
        with self._database.write() as connection:
            for row in connection.execute(_due(connection).with_for_update(skip_locked=True)).all():
                mine = schedule.c.id == row.id
                try:
                    after = next_time(row.cron, time_zone=row.time_zone, after=database_now(connection))
                except ConfigError:  # a time zone that this machine does not have
                    connection.execute(sa.update(schedule).where(mine).values(paused=True))
                    continue
                changes = {"next_at": after, "last_at": row.next_at}
                last = connection.execute(sa.select(job.c.status).where(job.c.id == row.last_job_id)).scalar()
                if (last is None or last in ENDED) and has_room(connection, row.tenant):
                    detail = f"schedule {row.id}, {row.next_at.isoformat(timespec='minutes')}"
                    queued_job = insert_job(connection, _new_job(row), owner=row.tenant, detail=detail)
                    changes["last_job_id"] = queued_job.id
                    queued.append(int(changes["last_job_id"]))
                connection.execute(sa.update(schedule).where(mine).values(changes))
        return queued

    def _mine(self, schedule_id: int) -> sa.ColumnElement[bool]:
        return (schedule.c.id == schedule_id) & within(schedule.c.tenant, self._scope)

    def _lock(self, connection: sa.Connection, schedule_id: int) -> Any:
        query = sa.select(schedule).where(self._mine(schedule_id)).with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:
            raise TrackingError(f"there is no schedule {schedule_id}")
        return row

    def _read(self, connection: sa.Connection, schedule_id: int) -> ScheduleRow:
        row = connection.execute(sa.select(schedule).where(schedule.c.id == schedule_id)).one()
        return ScheduleRow(**row._mapping)


def _due(connection: sa.Connection) -> sa.Select[Any]:
    due = (schedule.c.next_at <= database_now(connection)) & ~schedule.c.paused
    return sa.select(schedule).where(due).order_by(schedule.c.id)


def _new_job(row: Any) -> NewJob:
    return NewJob(
        mode=row.mode,
        name=row.name,
        config=row.config,
        overrides=row.overrides,
        tags=row.tags,
        priority=PRIORITIES[row.priority],
        max_retries=row.max_retries,
        dataset_id=row.dataset_id,
        backend=row.backend,
    )
