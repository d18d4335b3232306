"""The table of what was uploaded to be trained on: ``dataset``."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, Index, Integer, String, Table

from shared.tracking.schema import BigInteger, CleanText, UtcDateTime, metadata, one_of

DATASET_FORMATS = ("zip", "npz", "csv", "parquet")
DATASET_STATES = ("uploading", "checking", "ready", "rejected", "deleting")

dataset = Table(
    "dataset",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("tenant", String(60), nullable=False),
    Column("name", String(100), nullable=False),
    Column("format", String(10), nullable=False),
    Column("state", String(10), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("sha256", String(64)),
    Column("kind", String(10)),
    Column("labelled", Integer),
    Column("found", sa.JSON),
    Column("error_code", String(40)),
    Column("error", CleanText),
    Column("created", UtcDateTime, nullable=False),
    Column("ready", UtcDateTime),
    # Of the process that receives and checks it.
    Column("host", CleanText, nullable=False),
    Column("boot_id", CleanText, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", sa.Double, nullable=False),
    one_of("format", DATASET_FORMATS),
    one_of("state", DATASET_STATES),
    sqlite_autoincrement=True,
)
Index("dataset_name", dataset.c.tenant, dataset.c.name, unique=True)
