"""Webhooks and their deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "webhook",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(60), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("secret", sa.String(100), nullable=False),
        sa.Column("created", time, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_tenant", "webhook", ["tenant"])
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(40), nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", time, nullable=False),
        sa.Column("lease_until", time),
        sa.Column("answer", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("created", time, nullable=False),
        sa.Column("ended", time),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("status IN ('waiting', 'delivered', 'failed')", name="delivery_status_known"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("webhook_delivery_due", "webhook_delivery", ["status", "next_at"])
    op.create_index("webhook_delivery_order", "webhook_delivery", ["webhook_id", "id"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("webhook_delivery")
    op.drop_table("webhook")
