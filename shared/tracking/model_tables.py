"""The tables of the model registry: models, their versions, aliases, and what happened to the aliases."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from shared.tracking.schema import BigInteger, CleanText, UtcDateTime, metadata, one_of

EVENTS = ("promoted", "rolled_back", "removed", "threshold")

model = Table(
    "model",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("threshold", CleanText, nullable=False),
    # The highest number given so far, and what it was given to: numbers of deleted versions are not used again.
    Column("major", Integer, nullable=False),
    Column("minor", Integer, nullable=False),
    Column("patch", Integer, nullable=False),
    Column("basis", sa.JSON, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("tenant", String(60), nullable=False, server_default=sa.text("'default'")),
    sqlite_autoincrement=True,
)
Index("model_name", model.c.tenant, model.c.name, unique=True)

model_version = Table(
    "model_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), nullable=False),
    Column("run_id", Integer, ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    Column("major", Integer, nullable=False),
    Column("minor", Integer, nullable=False),
    Column("patch", Integer, nullable=False),
    Column("reason", CleanText, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)
Index("model_version_run", model_version.c.run_id, unique=True)
Index(
    "model_version_number",
    model_version.c.model_id,
    model_version.c.major,
    model_version.c.minor,
    model_version.c.patch,
    unique=True,
)

model_alias = Table(
    "model_alias",
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("alias", String(40), primary_key=True),
    Column(
        "version_id", Integer, ForeignKey("model_version.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("since", UtcDateTime, nullable=False),
)

model_event = Table(
    "model_event",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("alias", String(40)),
    Column("version", String(40)),
    Column("version_id", Integer, ForeignKey("model_version.id", ondelete="SET NULL"), index=True),
    Column("detail", CleanText, nullable=False),
    Column("time", UtcDateTime, nullable=False),
    one_of("kind", EVENTS),
    sqlite_autoincrement=True,
)
Index("model_event_order", model_event.c.model_id, model_event.c.id)
