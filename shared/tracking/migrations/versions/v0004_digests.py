"""Long runs have digests of their rows, which charts read in their place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; runs that are there get their digests when somebody looks at them."""
    op.create_table(
        "metric_digest",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("num_rows", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "last_id"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("metric_digest")
