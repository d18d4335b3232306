"""Runs may be sweeps, whose trials are in a table of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CHECK = "training_mode IN ({})"
BEFORE = "'centralized', 'federated', 'local', 'compare'"
AFTER = f"{BEFORE}, 'sweep'"


def upgrade() -> None:
    """Allow the mode, and make the table."""
    _allow(AFTER, instead_of=BEFORE)
    op.create_table(
        "sweep_trial",
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("sweep_id", "number"),
        sa.CheckConstraint(
            "status IN ('waiting', 'running', 'completed', 'failed')", name="trial_status_known"
        ),
        sa.ForeignKeyConstraint(["sweep_id"], ["run.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], ondelete="SET NULL"),
    )
    op.create_index("ix_sweep_trial_run_id", "sweep_trial", ["run_id"])


def downgrade() -> None:
    """Drop the table; the trials' runs stay, as runs of their own."""
    op.drop_table("sweep_trial")
    op.execute("DELETE FROM run WHERE training_mode = 'sweep'")
    _allow(BEFORE, instead_of=AFTER)


def _allow(modes: str, *, instead_of: str) -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("training_mode_known", "run", type_="check")
        op.create_check_constraint("training_mode_known", "run", CHECK.format(modes))
        return
    # SQLite alters no constraint, and a new table in place of this one would take with it all that refers to
    # its rows. What a table may hold is in its text alone, which may be changed in this way (sqlite.org's page
    # on ALTER TABLE, section 7); RESET makes this connection read it again, and the version all others.
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    changed = connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :before, :after) "
            "WHERE type = 'table' AND name = 'run' AND sql LIKE '%' || :before || '%'"
        ),
        {"before": CHECK.format(instead_of), "after": CHECK.format(modes)},
    )
    assert changed.rowcount == 1, "the table is as the first step made it"
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")
