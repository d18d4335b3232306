"""Schedules: training jobs that are queued again and again, by cron expressions in a time zone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "schedule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(20), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("overrides", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True)),
        sa.Column("last_job_id", sa.Integer()),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("mode IN ('centralized', 'federated', 'compare')", name="mode_known"),
        sa.CheckConstraint("priority >= 0 AND priority <= 3", name="priority_known"),
        sa.ForeignKeyConstraint(["last_job_id"], ["job.id"], ondelete="SET NULL"),
        sqlite_autoincrement=True,
    )
    op.create_index("schedule_idempotency_key", "schedule", ["idempotency_key"], unique=True)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("schedule")
