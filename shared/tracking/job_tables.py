"""The tables of training jobs: ``job``, the queue of record, ``job_event``, what happened; who runs them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from shared.tracking.schema import BigInteger, CleanText, UtcDateTime, metadata, one_of

JOB_MODES = ("centralized", "federated", "compare", "sweep")
JOB_STATUSES = ("queued", "running", "completed", "failed", "cancelled")

job = Table(
    "job",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mode", String(20), nullable=False),
    Column("name", CleanText, nullable=False),
    Column("status", String(20), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("config", sa.JSON, nullable=False),
    Column("overrides", sa.JSON, nullable=False),
    Column("tags", sa.JSON, nullable=False),
    Column("run_after", UtcDateTime, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("max_retries", Integer, nullable=False),
    Column("worker", CleanText),
    Column("lease_until", UtcDateTime),
    Column("cancel_requested", sa.Boolean, nullable=False),
    Column("run_id", Integer, ForeignKey("run.id", ondelete="SET NULL"), index=True),
    Column("error_code", String(40)),
    Column("error", CleanText),
    Column("idempotency_key", CleanText),
    Column("request_hash", String(64), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("started", UtcDateTime),
    Column("ended", UtcDateTime),
    Column("tenant", String(60), nullable=False, server_default=sa.text("'default'")),
    Column("dataset_id", Integer),  # no key: what was deleted stays named
    Column("backend", String(20)),
    one_of("mode", JOB_MODES),
    one_of("status", JOB_STATUSES),
    sa.CheckConstraint("priority >= 0 AND priority <= 3", name="priority_known"),
    sqlite_autoincrement=True,
)
# As a claim reads it: what is queued of a tenant, in the order in which it is begun.
Index("job_queue", job.c.status, job.c.tenant, job.c.priority, job.c.id)
Index("job_idempotency_key", job.c.tenant, job.c.idempotency_key, unique=True)

job_event = Table(
    "job_event",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("job_id", Integer, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("time", UtcDateTime, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("detail", CleanText, nullable=False),
    sqlite_autoincrement=True,
)
Index("job_event_order", job_event.c.job_id, job_event.c.id)

worker = Table(
    "worker",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("host", CleanText, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("backend", String(20), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("seen", UtcDateTime, nullable=False),
    Column("lease_s", sa.Double, nullable=False),
    Column("job_id", Integer),
    Column("cluster", sa.JSON(none_as_null=True)),
)

schedule = Table(
    "schedule",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("cron", CleanText, nullable=False),
    Column("time_zone", CleanText, nullable=False),
    Column("mode", String(20), nullable=False),
    Column("name", CleanText, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("config", sa.JSON, nullable=False),
    Column("overrides", sa.JSON, nullable=False),
    Column("tags", sa.JSON, nullable=False),
    Column("max_retries", Integer, nullable=False),
    Column("paused", sa.Boolean, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime),
    Column("last_job_id", Integer, ForeignKey("job.id", ondelete="SET NULL")),
    Column("idempotency_key", CleanText),
    Column("request_hash", String(64), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("tenant", String(60), nullable=False, server_default=sa.text("'default'")),
    Column("dataset_id", Integer),  # no key: what was deleted stays named
    Column("backend", String(20)),
    one_of("mode", JOB_MODES),
    sa.CheckConstraint("priority >= 0 AND priority <= 3", name="priority_known"),
    sqlite_autoincrement=True,
)
Index("schedule_idempotency_key", schedule.c.tenant, schedule.c.idempotency_key, unique=True)
