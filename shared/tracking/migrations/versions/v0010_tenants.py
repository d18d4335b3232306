"""Runs, jobs and schedules belong to tenants; API tokens and the audit log have tables."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None

_KEYED = ("job", "schedule")


def upgrade() -> None:
    """Make the tables; what is there is the default tenant's."""
    time = sa.DateTime(timezone=True)
    tenant = op.create_table(
        "tenant",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("max_running", sa.Integer()),
        sa.Column("max_queued", sa.Integer()),
        sa.Column("claimed", time),
        sa.Column("created", time, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.bulk_insert(tenant, [{"name": "default", "created": datetime.now(UTC)}])
    op.create_table(
        "token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(60), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.String(10), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created", time, nullable=False),
        sa.Column("expires", time),
        sa.Column("revoked", time),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("scope IN ('read', 'train', 'admin')", name="scope_known"),
        sa.ForeignKeyConstraint(["tenant"], ["tenant.name"]),
        sqlite_autoincrement=True,
    )
    op.create_index("token_digest", "token", ["digest"], unique=True)
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("time", time, nullable=False),
        sa.Column("tenant", sa.String(60), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_of_tenant", "audit", ["tenant", "id"])
    for table in ("run", *_KEYED):
        owner = sa.Column("tenant", sa.String(60), nullable=False, server_default=sa.text("'default'"))
        op.add_column(table, owner)
    op.create_index("run_of_tenant", "run", ["tenant", "id"])
    op.drop_index("job_queue", "job")
    op.create_index("job_queue", "job", ["status", "tenant", "priority", "id"])
    for table in _KEYED:
        op.drop_index(f"{table}_idempotency_key", table)
        op.create_index(f"{table}_idempotency_key", table, ["tenant", "idempotency_key"], unique=True)


def downgrade() -> None:
    """Drop the tables and columns."""
    for table in _KEYED:
        op.drop_index(f"{table}_idempotency_key", table)
        op.create_index(f"{table}_idempotency_key", table, ["idempotency_key"], unique=True)
    op.drop_index("job_queue", "job")
    op.create_index("job_queue", "job", ["status", "priority", "id"])
    op.drop_index("run_of_tenant", "run")
    for table in (*_KEYED, "run"):
        op.drop_column(table, "tenant")
    for table in ("audit", "token", "tenant"):
        op.drop_table(table)
