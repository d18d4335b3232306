"""`hold`: a job is queued only with a dataset that is there; `users`: the jobs and schedules that need one."""

from __future__ import annotations

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.dataset_tables import dataset
from shared.tracking.job_tables import job, schedule


class NoDataset(TrackingError):
    """A tenant has no such dataset, or it cannot be trained on (yet)."""


def hold(connection: sa.Connection, owner: str, dataset_id: int | None) -> None:
    """Make sure that the dataset of a job is there until this transaction ends; without one, nothing.

    Raises
    ------
    NoDataset
    """
    if dataset_id is None:
        return
    mine = (dataset.c.id == dataset_id) & (dataset.c.tenant == owner) & (dataset.c.state == "ready")
    if connection.execute(sa.select(dataset.c.id).where(mine).with_for_update(read=True)).first() is None:
        raise NoDataset("the dataset of this training has been deleted; upload it again, and ask anew")


def users(connection: sa.Connection, dataset_id: int) -> list[str]:
    """The jobs that wait or run with a dataset, and the schedules of such jobs, in words."""
    jobs = sa.select(job.c.id).where(job.c.dataset_id == dataset_id, job.c.status.in_(("queued", "running")))
    schedules = sa.select(schedule.c.id).where(schedule.c.dataset_id == dataset_id)
    found = [("job", one) for one in connection.scalars(jobs.order_by(job.c.id))]
    found += [("schedule", one) for one in connection.scalars(schedules.order_by(schedule.c.id))]
    return [f"{what} {number}" for what, number in found]
