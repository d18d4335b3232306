"""The first schema: runs, their metrics, server evaluations, rounds and clients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("training_mode", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.Integer()),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text()),
        sa.Column("stop_reason", sa.Text()),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("boot_id", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("pid_started", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(
            "training_mode IN ('centralized', 'federated', 'local', 'compare')", name="training_mode_known"
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'completed', 'failed', 'stopped')", name="status_known"
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["run.id"], ondelete="SET NULL"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_parent_id", "run", ["parent_id"])
    op.create_table(
        "run_metrics",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.Integer()),
        sa.Column("round", sa.Integer()),
        sa.Column("epoch", sa.Integer()),
        sa.Column("stage", sa.String(10), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("num_examples", sa.BigInteger()),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("stage IN ('train', 'val', 'test')", name="stage_known"),
        sa.CheckConstraint("client_id >= 0 AND round >= 0 AND epoch >= 0", name="not_negative"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    unique_over: list[str | sa.TextClause] = [
        "run_id",
        sa.text("coalesce(round, -1)"),
        sa.text("coalesce(client_id, -1)"),
        sa.text("coalesce(epoch, -1)"),
        "stage",
        "name",
    ]
    op.create_index("run_metrics_one_value", "run_metrics", unique_over, unique=True)
    op.create_index("run_metrics_cursor", "run_metrics", ["run_id", "id"])
    op.create_table(
        "server_evaluation",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("loss", sa.Double()),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("confusion", sa.JSON()),
        sa.Column("true_positives", sa.BigInteger()),
        sa.Column("true_negatives", sa.BigInteger()),
        sa.Column("false_positives", sa.BigInteger()),
        sa.Column("false_negatives", sa.BigInteger()),
        sa.Column("num_examples", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "round"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "round",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("began", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sampled", sa.JSON(), nullable=False),
        sa.Column("replied", sa.JSON(), nullable=False),
        sa.Column("failed", sa.JSON(), nullable=False),
        sa.Column("bytes_down", sa.BigInteger(), nullable=False),
        sa.Column("bytes_up", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "round"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "client",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("num_examples", sa.BigInteger(), nullable=False),
        sa.Column("label_counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "client_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], ondelete="CASCADE"),
    )


def downgrade() -> None:
    """Drop the tables and all that is in them."""
    for table in ("client", "round", "server_evaluation", "run_metrics", "run"):
        op.drop_table(table)
