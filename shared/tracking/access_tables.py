"""The tables of who may do what: ``tenant``, ``token`` and ``audit``."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from shared.tracking.schema import BigInteger, CleanText, UtcDateTime, metadata, one_of

TOKEN_SCOPES = ("read", "train", "admin")  # each may do what the ones before it may

tenant = Table(
    "tenant",
    metadata,
    Column("name", String(60), primary_key=True),
    Column("max_running", Integer),
    Column("max_queued", Integer),
    Column("claimed", UtcDateTime),
    Column("created", UtcDateTime, nullable=False),
    Column("max_dataset_bytes", BigInteger),
)

token = Table(
    "token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("tenant", String(60), ForeignKey("tenant.name"), nullable=False),
    Column("name", CleanText, nullable=False),
    Column("scope", String(10), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("expires", UtcDateTime),
    Column("revoked", UtcDateTime),
    one_of("scope", TOKEN_SCOPES),
    sqlite_autoincrement=True,
)
Index("token_digest", token.c.digest, unique=True)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("time", UtcDateTime, nullable=False),
    Column("tenant", String(60), nullable=False),
    Column("who", CleanText, nullable=False),
    Column("address", CleanText, nullable=False),
    Column("action", CleanText, nullable=False),
    Column("status", Integer, nullable=False),
    sqlite_autoincrement=True,
)
Index("audit_of_tenant", audit.c.tenant, audit.c.id)
