"""Trials may be pruned, and keep what a search asked for and what it was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0009"
branch_labels = None
depends_on = None

CHECK = "status IN ({})"
BEFORE = "'waiting', 'running', 'completed', 'failed'"
AFTER = f"{BEFORE}, 'pruned'"


def upgrade() -> None:
    """Add the column, and allow the status."""
    op.add_column("sweep_trial", sa.Column("search", sa.JSON()))
    _allow(AFTER, instead_of=BEFORE)


def downgrade() -> None:
    """Drop the column; pruned trials have failed."""
    op.execute("UPDATE sweep_trial SET status = 'failed' WHERE status = 'pruned'")
    _allow(BEFORE, instead_of=AFTER)
    op.drop_column("sweep_trial", "search")


def _allow(statuses: str, *, instead_of: str) -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("trial_status_known", "sweep_trial", type_="check")
        op.create_check_constraint("trial_status_known", "sweep_trial", CHECK.format(statuses))
        return
    # As in v0006: the table's text is changed in place.
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    changed = connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :before, :after) "
            "WHERE type = 'table' AND name = 'sweep_trial' AND sql LIKE '%' || :before || '%'"
        ),
        {"before": CHECK.format(instead_of), "after": CHECK.format(statuses)},
    )
    assert changed.rowcount == 1, "the table is as the step before made it"
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")
