"""The table of followers: what each external tracker has been sent of each run."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Integer, String, Table

from shared.tracking.schema import CleanText, metadata

follow = Table(
    "follow",
    metadata,
    Column("target", String(64), primary_key=True),
    Column("run_id", Integer, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(32), nullable=False),
    Column("cursor", sa.BigInteger, nullable=False),
    Column("state", sa.JSON, nullable=False),
    Column("told", CleanText, nullable=False),
)
