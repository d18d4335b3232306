"""`JobQueue`: how workers claim jobs, keep them with heartbeats, and end them; attempts fence older ones.

A claim is one transaction, one at a time: SQLite's ``BEGIN IMMEDIATE`` lets one writer in, in PostgreSQL an
advisory lock does, so that the shares of tenants are counted right.
What ends an attempt is written only where it is still the present one.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from shared.tracking.database import Database, database_now
from shared.tracking.fair_shares import next_of_tenants
from shared.tracking.fence import Fence, Overtaken
from shared.tracking.job_errors import WORKER_LOST, JobFailure
from shared.tracking.job_events import job_row, note
from shared.tracking.job_rows import JobRow
from shared.tracking.job_tables import job
from shared.tracking.run_life import insert_run
from shared.tracking.trials import NewTrial, insert_sweep
from shared.tracking.webhook_events import tell_job

LEASE_S = 30.0
MOST_LOST = 10  # a job with which so many workers vanished may be what kills them
BACKOFF_S = 60.0  # doubled by each failure
MOST_BACKOFF_S = 3600.0
JITTER = 0.2  # jobs that failed together do not come back together


class JobQueue:
    """The queue as workers see it.

    Parameters
    ----------
    lease_s : float, seconds
        How long a worker may be silent before its job is another one's.
    """

    def __init__(self, database: Database, *, lease_s: float = LEASE_S) -> None:
        self._database, self.lease_s = database, lease_s

    def claim(self, worker: str, *, backend: str = "process") -> JobRow | None:
        """Take the next job; first, what lost its worker returns to the queue.

        The tenant with the fewest running jobs comes first, then the one whose turn is longest ago; of
        its jobs, by priority, then age. One that runs as many as it may waits.

        Parameters
        ----------
        worker : str
            Who takes it, for those who look.
        backend : str
            Where it runs jobs, see `WorkerRow`; jobs that ask for another backend are left.

        Returns
        -------
        JobRow or None
            With a new attempt number and a lease; None if nothing may begin now.
        """
        with self._database.read() as connection:  # most looks find nothing, and need not lock
            if connection.execute(_next(database_now(connection), backend).limit(1)).first() is None:
                return None
        with self._database.write() as connection:
            now = database_now(connection)
            self._take_back(connection, now)
            row = next_of_tenants(connection, now, serves(backend))
            if row is None:
                return None
            changes = {
                "status": "running",
                "attempt": row.attempt + 1,
                "worker": worker,
                "lease_until": now + timedelta(seconds=self.lease_s),
                "started": row.started or now,
                "error_code": None,
                "error": None,
            }
            connection.execute(sa.update(job).where(job.c.id == row.id).values(changes))
            note(connection, row.id, "claimed", attempt=row.attempt + 1, detail=worker)
            return job_row(connection.execute(sa.select(job).where(job.c.id == row.id)).one())

    def heartbeat(self, fence: Fence) -> None:
        """Extend the lease of an attempt.

        Raises
        ------
        Overtaken
            It is no longer the present one.
        """
        with self._database.write() as connection:
            until = database_now(connection) + timedelta(seconds=self.lease_s)
            self._update(connection, fence, lease_until=until)

    def cancel_requested(self, fence: Fence) -> bool:
        """Whether somebody asks the present attempt to end; costs less than a heartbeat.

        Raises
        ------
        Overtaken
            It is no longer the present one.
        """
        return bool(self._of_present(fence, job.c.cancel_requested))

    def lease_of(self, fence: Fence) -> datetime:
        """Until when the present attempt is its worker's; each heartbeat moves it.

        Raises
        ------
        Overtaken
            It is no longer the present one.
        """
        until: datetime = self._of_present(fence, job.c.lease_until)
        return until

    def begin_run(self, fence: Fence, *, config: Mapping[str, Any], seed: int, description: str) -> int:
        """Make the run of a job, once: run and job are written together.

        Raises
        ------
        Overtaken
        """
        with self._database.write() as connection:
            row = self._update(connection, fence)
            run_id = insert_run(
                connection,
                name=row.name,
                training_mode=row.mode,
                config=config,
                seed=seed,
                description=description,
                parent_id=None,
                status="pending",
                tags=row.tags,
                owned_by=row.tenant,
            )
            self._begun(connection, fence, run_id)
            return run_id

    def begin_sweep(
        self,
        fence: Fence,
        trials: Sequence[NewTrial],
        *,
        name: str,
        description: str,
        config: Mapping[str, Any],
        summary: Mapping[str, Any],
        seed: int | None = None,
    ) -> int:
        """Make the run of a job that is a sweep, with its trials, once; see `Trials.create`.

        Raises
        ------
        Overtaken
        """
        with self._database.write() as connection:
            row = self._update(connection, fence)
            sweep_id = insert_sweep(
                connection,
                trials,
                name=name,
                description=description,
                config=config,
                summary=summary,
                seed=seed,
                tags=row.tags,
                owned_by=row.tenant,
            )
            self._begun(connection, fence, sweep_id)
            return sweep_id

    def complete(self, fence: Fence) -> None:
        """End a job as completed.

        Raises
        ------
        Overtaken
        """
        with self._database.write() as connection:
            self._end(connection, fence, "completed")

    def fail(self, fence: Fence, failure: JobFailure) -> None:
        """End an attempt that failed: the job waits for another try, or has failed.

        Raises
        ------
        Overtaken
        """
        with self._database.write() as connection:
            row = self._update(connection, fence, error_code=failure.code, error=failure.error)
            if row.cancel_requested:
                self._end(connection, fence, "cancelled")
            elif failure.may_pass and row.failures < row.max_retries:
                wait_s = backoff_s(row.failures)
                again = database_now(connection) + timedelta(seconds=wait_s)
                self._queue(connection, fence, run_after=again, failures=row.failures + 1)
                detail = f"{failure.code}; again in {wait_s:.0f} s"
                note(connection, fence.job_id, "retry", attempt=fence.attempt, detail=detail)
            else:
                self._end(connection, fence, "failed", detail=failure.code)

    def cancelled(self, fence: Fence) -> None:
        """End a job whose cancelling was asked for.

        Raises
        ------
        Overtaken
        """
        with self._database.write() as connection:
            self._end(connection, fence, "cancelled")

    def release(self, fence: Fence) -> None:
        """Give a job back, for the next worker: this one stops.

        Raises
        ------
        Overtaken
        """
        with self._database.write() as connection:
            self._queue(connection, fence)
            note(connection, fence.job_id, "released", attempt=fence.attempt)

    def _of_present(self, fence: Fence, column: sa.Column[Any]) -> Any:
        rows = self._database.select(sa.select(column).where(_present(fence)))
        if not rows:
            raise _overtaken(fence)
        return rows[0][0]

    def _take_back(self, connection: sa.Connection, now: datetime) -> None:
        expired = (job.c.status == "running") & (job.c.lease_until < now)
        for row in connection.execute(sa.select(job).where(expired).with_for_update(skip_locked=True)).all():
            fence, lost = Fence(row.id, row.attempt), row.lost + 1
            note(connection, row.id, "lost", attempt=row.attempt, detail=f"{row.worker} is silent")
            if row.cancel_requested:
                self._end(connection, fence, "cancelled")
            elif lost > MOST_LOST:
                error = f"{lost} workers vanished while they ran it"
                self._update(connection, fence, error_code=WORKER_LOST, error=error)
                self._end(connection, fence, "failed", detail=WORKER_LOST)
            else:
                self._queue(connection, fence, lost=lost)
                tell_job(connection, row.id, "job.queued")

    def _begun(self, connection: sa.Connection, fence: Fence, run_id: int) -> None:
        self._update(connection, fence, run_id=run_id)
        note(connection, fence.job_id, "run", attempt=fence.attempt, detail=str(run_id))

    def _queue(self, connection: sa.Connection, fence: Fence, **changes: Any) -> None:
        self._update(connection, fence, status="queued", worker=None, lease_until=None, **changes)

    def _end(self, connection: sa.Connection, fence: Fence, status: str, *, detail: str = "") -> None:
        ended = database_now(connection)
        self._update(connection, fence, status=status, worker=None, lease_until=None, ended=ended)
        note(connection, fence.job_id, status, attempt=fence.attempt, detail=detail)

    def _update(self, connection: sa.Connection, fence: Fence, **changes: Any) -> Any:
        """The row of the present attempt as it was before the changes."""
        row = connection.execute(sa.select(job).where(_present(fence)).with_for_update()).one_or_none()
        if row is None:
            raise _overtaken(fence)
        if changes:
            connection.execute(sa.update(job).where(job.c.id == fence.job_id).values(changes))
        return row


def backoff_s(failures: int) -> float:
    """How long a job waits after a failure, seconds.

    Parameters
    ----------
    failures : int
        How many there were before.
    """
    plain: float = min(BACKOFF_S * 2 ** min(failures, 20), MOST_BACKOFF_S)
    return plain * random.uniform(1 - JITTER, 1 + JITTER)


def _overtaken(fence: Fence) -> Overtaken:
    return Overtaken(f"attempt {fence.attempt} of job {fence.job_id} was taken over, or has ended")


def _present(fence: Fence) -> sa.ColumnElement[bool]:
    mine = (job.c.id == fence.job_id) & (job.c.attempt == fence.attempt)
    return mine & (job.c.status == "running")


def serves(backend: str) -> sa.ColumnElement[bool]:
    """The jobs that workers of a backend may claim."""
    return job.c.backend.is_(None) | (job.c.backend == backend)


def _next(now: datetime, backend: str) -> sa.Select[Any]:
    queued = (job.c.status == "queued") & (job.c.run_after <= now) & serves(backend)
    expired = (job.c.status == "running") & (job.c.lease_until < now)
    return sa.select(job.c.id).where(queued | expired)
