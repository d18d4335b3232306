"""`next_of_tenants`: which tenant's job a worker takes next."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from shared.tracking.access_tables import tenant
from shared.tracking.job_tables import job

_CLAIMS = 0x66656474  # the advisory lock of claims


def next_of_tenants(connection: sa.Connection, now: datetime, among: sa.ColumnElement[bool]) -> Any | None:
    """The queued job that is next, locked, with its tenant's turn taken.

    Parameters
    ----------
    connection : Connection
        In a transaction that writes; in PostgreSQL it waits for other claims.
    among : ColumnElement
        The jobs that may be taken.

    Returns
    -------
    Row or None
        None if nothing may begin.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CLAIMS)))
    running = (
        sa.select(job.c.tenant, sa.func.count().label("number"))
        .where(job.c.status == "running")
        .group_by(job.c.tenant)
        .subquery()
    )
    number = sa.func.coalesce(running.c.number, 0)
    turns = (
        sa.select(tenant.c.name)
        .outerjoin(running, running.c.tenant == tenant.c.name)
        .where(sa.or_(tenant.c.max_running.is_(None), number < tenant.c.max_running))
        .order_by(number, tenant.c.claimed.asc().nulls_first(), tenant.c.name)
    )
    for name in connection.execute(turns).scalars().all():
        ready = (job.c.status == "queued") & (job.c.tenant == name) & (job.c.run_after <= now) & among
        order = sa.select(job).where(ready).order_by(job.c.priority, job.c.id).limit(1)
        row = connection.execute(order.with_for_update(skip_locked=True)).one_or_none()
        if row is not None:
            connection.execute(sa.update(tenant).where(tenant.c.name == name).values(claimed=now))
            return row
    return None
