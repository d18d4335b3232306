"""Jobs and schedules may be sweeps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

CHECK = "mode IN ({})"
BEFORE = "'centralized', 'federated', 'compare'"
AFTER = f"{BEFORE}, 'sweep'"
TABLES = ("job", "schedule")


def upgrade() -> None:
    """Allow the mode."""
    _allow(AFTER, instead_of=BEFORE)


def downgrade() -> None:
    """Delete such jobs and schedules; the sweeps that they trained stay."""
    op.execute("DELETE FROM schedule WHERE mode = 'sweep'")
    op.execute("DELETE FROM job_event WHERE job_id IN (SELECT id FROM job WHERE mode = 'sweep')")
    op.execute("DELETE FROM job WHERE mode = 'sweep'")
    _allow(BEFORE, instead_of=AFTER)


def _allow(modes: str, *, instead_of: str) -> None:
    if op.get_bind().dialect.name != "sqlite":
        for table in TABLES:
            op.drop_constraint("mode_known", table, type_="check")
            op.create_check_constraint("mode_known", table, CHECK.format(modes))
        return
    # As in v0006: the text of the tables is changed in place.
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    changed = connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :before, :after) "
            "WHERE type = 'table' AND name IN ('job', 'schedule') AND sql LIKE '%' || :before || '%'"
        ),
        {"before": CHECK.format(instead_of), "after": CHECK.format(modes)},
    )
    assert changed.rowcount == len(TABLES), "the tables are as the steps before made them"
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")
