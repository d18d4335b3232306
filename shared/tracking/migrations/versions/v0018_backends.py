"""The backend that a job asks for, and what a worker last saw of its cluster."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_ASK = ("job", "schedule")


def upgrade() -> None:
    """Add the columns."""
    for table in _ASK:
        op.add_column(table, sa.Column("backend", sa.String(20)))
    op.add_column("worker", sa.Column("cluster", sa.JSON()))


def downgrade() -> None:
    """Drop the columns."""
    op.drop_column("worker", "cluster")
    for table in _ASK:
        op.drop_column(table, "backend")
