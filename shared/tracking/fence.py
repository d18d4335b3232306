"""`Fence`: the attempt of a job that this process works for; one that was taken over writes nothing more.

A worker that was paused past its lease may wake while another one trains the same run. Every transaction that
changes a run asks the job's row, in the same transaction, whether the attempt is still the present one.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.job_tables import job

FENCE = "FEDTWIN_JOB_ATTEMPT"  # environment variable JOB:ATTEMPT, which all processes of an attempt inherit


class Overtaken(TrackingError):
    """Another attempt of the same job has begun, or the job was ended: this one must not write."""


class Fence(NamedTuple):
    """One attempt of one job."""

    job_id: int
    attempt: int

    @classmethod
    def of_process(cls) -> Fence | None:
        """The attempt that this process works for; None outside of jobs."""
        given = os.environ.get(FENCE)
        return cls.parse(given) if given else None

    @classmethod
    def parse(cls, text: str) -> Fence:
        """The attempt that a text JOB:ATTEMPT names."""
        job_id, _, attempt = text.partition(":")
        return cls(int(job_id), int(attempt))

    def __str__(self) -> str:
        return f"{self.job_id}:{self.attempt}"

    def check(self, connection: sa.Connection) -> None:
        """Hold the job's row, in which the attempt is the present one, until the transaction ends.

        Raises
        ------
        Overtaken
        """
        # FOR SHARE: a claim waits until what was begun is written. SQLite has locked the file already.
        query = sa.select(job.c.attempt, job.c.status).where(job.c.id == self.job_id)
        row = connection.execute(query.with_for_update(read=True)).one_or_none()
        if row is None or row.attempt != self.attempt or row.status != "running":
            raise Overtaken(
                f"attempt {self.attempt} of job {self.job_id} was taken over by another one, or has ended; it "
                "writes nothing more"
            )


def check_fence(connection: sa.Connection) -> None:
    """Let nothing be written by a process whose attempt of a job was taken over.

    Raises
    ------
    Overtaken
    """
    fence = Fence.of_process()
    if fence is not None:
        fence.check(connection)
