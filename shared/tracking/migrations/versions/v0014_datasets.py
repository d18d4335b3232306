"""Datasets are uploaded, within a tenant's quota; jobs and schedules know theirs, and may be sweeps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0015b"
branch_labels = None
depends_on = None

CHECK = "mode IN ({})"
BEFORE = "'centralized', 'federated', 'compare'"
AFTER = f"{BEFORE}, 'sweep'"
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
    _allow(AFTER, instead_of=BEFORE)


def downgrade() -> None:
    """Drop the table and the columns; files stay."""
    for table in _USERS:
        op.execute(f"DELETE FROM {table} WHERE mode = 'sweep'")
    _allow(BEFORE, instead_of=AFTER)
    for table in _USERS:
        op.drop_column(table, "dataset_id")
    op.drop_column("tenant", "max_dataset_bytes")
    op.drop_table("dataset")


def _allow(modes: str, *, instead_of: str) -> None:
    if op.get_bind().dialect.name != "sqlite":
        for table in _USERS:
            op.drop_constraint("mode_known", table, type_="check")
            op.create_check_constraint("mode_known", table, CHECK.format(modes))
        return
    # As step 0006 does it, and for its reasons.
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    changed = connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :before, :after) WHERE type = 'table' "
            "AND name IN ('job', 'schedule') AND sql LIKE '%' || :before || '%'"
        ),
        {"before": CHECK.format(instead_of), "after": CHECK.format(modes)},
    )
    assert changed.rowcount == len(_USERS), "the tables are as the steps before made them"
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")
