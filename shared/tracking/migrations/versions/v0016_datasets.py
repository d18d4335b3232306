"""Datasets are uploaded, within a tenant's quota; jobs and schedules know theirs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_USERS = ("job", "schedule")


def upgrade() -> None:
    """Make the table, and the columns that name its rows."""
    big, time = sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.DateTime(timezone=True)
    op.create_table(
        "dataset",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(60), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("format", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("bytes", big, nullable=False),
        sa.Column("received", big, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("kind", sa.String(10)),
        sa.Column("labelled", sa.Integer()),
        sa.Column("found", sa.JSON()),
        sa.Column("error_code", sa.String(40)),
        sa.Column("error", sa.Text()),
        sa.Column("created", time, nullable=False),
        sa.Column("ready", time),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("boot_id", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("pid_started", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("format IN ('zip', 'npz', 'csv', 'parquet')", name="format_known"),
        sa.CheckConstraint(
            "state IN ('uploading', 'checking', 'ready', 'rejected', 'deleting')", name="state_known"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("dataset_name", "dataset", ["tenant", "name"], unique=True)
    op.add_column("tenant", sa.Column("max_dataset_bytes", big))
    for table in _USERS:
        op.add_column(table, sa.Column("dataset_id", sa.Integer()))


def downgrade() -> None:
    """Drop the table and the columns; files stay."""
    for table in _USERS:
        op.drop_column(table, "dataset_id")
    op.drop_column("tenant", "max_dataset_bytes")
    op.drop_table("dataset")
