"""`job_figures`: counts and times of all tenants' jobs, for monitoring."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from shared.tracking.database import Database, database_now
from shared.tracking.job_rows import ENDED, PRIORITIES
from shared.tracking.job_tables import job
from shared.tracking.schema import run_metrics

DURATIONS_S = (10, 60, 300, 1800, 3600, 4 * 3600, 24 * 3600)  # upper bounds


@dataclass(frozen=True)
class JobFigures:
    """What is counted.

    Attributes
    ----------
    waiting : dict of str to int
        Jobs that may begin now, by priority.
    within : list of int
        Of the jobs that have ended, those that took at most `DURATIONS_S`.
    rows : int
        Metric rows that were ever stored.
    """

    waiting: dict[str, int]
    longest_wait_s: float
    running: int
    ended: dict[str, int]
    durations: int
    within: list[int]
    duration_sum_s: float
    rows: int


def job_figures(database: Database) -> JobFigures:
    """Count, over all tenants.

    Raises
    ------
    TrackingError
    """
    with database.read() as connection:
        now = database_now(connection)
        ready = (job.c.status == "queued") & (job.c.run_after <= now)
        priorities = sa.select(job.c.priority, sa.func.count(), sa.func.min(job.c.run_after)).where(ready)
        queued = connection.execute(priorities.group_by(job.c.priority)).all()
        statuses = sa.select(job.c.status, sa.func.count()).group_by(job.c.status)
        counts = {str(row[0]): int(row[1]) for row in connection.execute(statuses).all()}
        if connection.dialect.name == "sqlite":
            took = (sa.func.julianday(job.c.ended) - sa.func.julianday(job.c.started)) * 86400.0
        else:
            took = sa.extract("epoch", job.c.ended) - sa.extract("epoch", job.c.started)
        within = [sa.func.count(sa.case((took <= bound, 1))) for bound in DURATIONS_S]
        over = sa.select(sa.func.count(), sa.func.sum(took), *within).where(
            job.c.status.in_(ENDED), job.c.started.is_not(None), job.c.ended.is_not(None)
        )
        durations, total, *numbers = connection.execute(over).one()
        rows = connection.execute(sa.select(sa.func.max(run_metrics.c.id))).scalar()
    by_number = {priority: number for priority, number, _ in queued}
    return JobFigures(
        waiting={name: by_number.get(place, 0) for place, name in enumerate(PRIORITIES)},
        longest_wait_s=max([(now - since).total_seconds() for *_, since in queued], default=0.0),
        running=counts.get("running", 0),
        ended={status: counts.get(status, 0) for status in ENDED},
        durations=durations,
        within=numbers,
        duration_sum_s=float(total or 0),
        rows=rows or 0,
    )
