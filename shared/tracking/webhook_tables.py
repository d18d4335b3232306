"""The tables of webhooks: ``webhook``, who is told of what, and ``webhook_delivery``, each message to each."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from shared.tracking.schema import BigInteger, CleanText, UtcDateTime, metadata, one_of

JOB_EVENTS = ("job.queued", "job.started", "job.completed", "job.failed", "job.cancelled")
MODEL_EVENTS = ("model.registered", "model.promoted", "model.rolled_back")
EVENTS = (*JOB_EVENTS, *MODEL_EVENTS)
TEST = "webhook.test"  # sent when it is asked for, whatever events a webhook is of
DELIVERY_STATUSES = ("waiting", "delivered", "failed")

webhook = Table(
    "webhook",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("tenant", String(60), nullable=False, index=True),
    Column("url", CleanText, nullable=False),
    Column("events", sa.JSON, nullable=False),
    # As it is: a signature is made with the secret itself, so a digest would not do.
    Column("secret", String(100), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("webhook_id", Integer, ForeignKey("webhook.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", String(40), nullable=False),
    Column("event", String(40), nullable=False),
    Column("body", CleanText, nullable=False),
    Column("status", String(20), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("answer", Integer),
    Column("error", CleanText),
    Column("created", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    one_of("status", DELIVERY_STATUSES, of="delivery_"),
    sqlite_autoincrement=True,
)
Index("webhook_delivery_due", webhook_delivery.c.status, webhook_delivery.c.next_at)
Index("webhook_delivery_order", webhook_delivery.c.webhook_id, webhook_delivery.c.id)
