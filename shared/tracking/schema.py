"""The schema, as SQLAlchemy tables; `migrations` creates them, the repositories write and read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, func
from sqlalchemy.types import TypeDecorator

TRAINING_MODES = ("centralized", "federated", "local", "compare", "sweep")
STATUSES = ("pending", "running", "completed", "failed", "stopped")
TRIAL_STATUSES = ("waiting", "running", "completed", "failed", "pruned")
STAGES = ("train", "val", "test")
MOST_NOTE = 10_000  # characters
LARGEST_ID = 2**31 - 1  # of an INTEGER column of PostgreSQL


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, always in UTC, also where the database has no time zones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """To the database; rejects times without a zone."""
        if value is None:
            return None
        assert value.tzinfo is not None, "times are aware"
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def bind_processor(self, dialect: Any) -> Any:
        """To the database: where that is text, without SQLAlchemy's slow way to format it."""
        return _utc_text if dialect.name == "sqlite" else super().bind_processor(dialect)


def _utc_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    assert value.tzinfo is not None, "times are aware"
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


class Measured(TypeDecorator[float]):
    """A float whose NaN is stored as NULL: SQLite has no NaN, and SQL omits NULL from averages."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Any) -> float | None:
        """To the database."""
        return None if value is None or math.isnan(value) else float(value)

    def process_result_value(self, value: float | None, dialect: Any) -> float:
        """From the database."""
        return math.nan if value is None else value


class CleanText(TypeDecorator[str]):
    """Text from anywhere; what no database can store (NUL, half surrogates) is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """To the database."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


metadata = sa.MetaData()
BigInteger = sa.BigInteger().with_variant(Integer, "sqlite")  # only INTEGER keys count up in SQLite


def one_of(column: str, allowed: tuple[str, ...], *, of: str = "") -> sa.CheckConstraint:
    """The constraint of a column that holds one of a few words."""
    values = ", ".join(f"'{value}'" for value in allowed)
    return sa.CheckConstraint(f"{column} IN ({values})", name=f"{of}{column}_known")


def _run_id(**options: Any) -> Column[int]:
    return Column("run_id", Integer, ForeignKey("run.id", ondelete="CASCADE"), nullable=False, **options)


run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", CleanText, nullable=False),
    Column("description", CleanText, nullable=False),
    Column("training_mode", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("config", sa.JSON, nullable=False),
    Column("seed", sa.BigInteger, nullable=False),
    Column("parent_id", Integer, ForeignKey("run.id", ondelete="SET NULL"), index=True),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    Column("error", CleanText),
    Column("stop_reason", CleanText),
    Column("summary", sa.JSON, nullable=False),
    Column("host", CleanText, nullable=False),
    Column("boot_id", CleanText, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", sa.Double, nullable=False),
    Column("tags", sa.JSON, nullable=False, server_default=sa.text("'[]'")),
    Column("tenant", String(60), nullable=False, server_default=sa.text("'default'")),
    one_of("training_mode", TRAINING_MODES),
    one_of("status", STATUSES),
    sqlite_autoincrement=True,
)
Index("run_of_tenant", run.c.tenant, run.c.id)

run_metrics = Table(
    "run_metrics",
    metadata,
    Column("id", BigInteger, primary_key=True),
    _run_id(),
    Column("client_id", Integer),
    Column("round", Integer),
    Column("epoch", Integer),
    Column("stage", String(10), nullable=False),
    Column("name", CleanText, nullable=False),
    Column("value", Measured),
    Column("num_examples", sa.BigInteger),
    Column("time", UtcDateTime, nullable=False),
    one_of("stage", STAGES),
    # Keeps -1 free: it stands for NULL in the unique index below.
    sa.CheckConstraint("client_id >= 0 AND round >= 0 AND epoch >= 0", name="not_negative"),
    sqlite_autoincrement=True,
)


def _or_minus_one(column: Column[Any]) -> sa.ColumnElement[int]:
    return func.coalesce(column, sa.literal_column("-1"))


# As the unique index below holds them: conditions on these use it.
at_round, at_epoch = _or_minus_one(run_metrics.c.round), _or_minus_one(run_metrics.c.epoch)
at_client = _or_minus_one(run_metrics.c.client_id)
NO_ROUND: sa.ColumnElement[int] = sa.literal_column("-1")
no_client = at_client == NO_ROUND

# NULLs are distinct in a unique index, and NULLS NOT DISTINCT is younger than PostgreSQL 13.
Index(
    "run_metrics_one_value",
    run_metrics.c.run_id,
    _or_minus_one(run_metrics.c.round),  # before the client: rows that come together lie together
    _or_minus_one(run_metrics.c.client_id),
    _or_minus_one(run_metrics.c.epoch),
    run_metrics.c.stage,
    run_metrics.c.name,
    unique=True,
)
Index("run_metrics_cursor", run_metrics.c.run_id, run_metrics.c.id)

# What charts need of many rows of a run, in one row: see `shared.tracking.digests`.
metric_digest = Table(
    "metric_digest",
    metadata,
    _run_id(primary_key=True),
    Column("last_id", sa.BigInteger, primary_key=True),
    Column("num_rows", Integer, nullable=False),
    Column("content", sa.LargeBinary, nullable=False),
)

server_evaluation = Table(
    "server_evaluation",
    metadata,
    _run_id(primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("loss", Measured),
    Column("metrics", sa.JSON, nullable=False),
    Column("confusion", sa.JSON(none_as_null=True)),
    Column("true_positives", sa.BigInteger),
    Column("true_negatives", sa.BigInteger),
    Column("false_positives", sa.BigInteger),
    Column("false_negatives", sa.BigInteger),
    Column("num_examples", sa.BigInteger, nullable=False),
)

round_ = Table(
    "round",
    metadata,
    _run_id(primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("began", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime, nullable=False),
    Column("sampled", sa.JSON, nullable=False),
    Column("replied", sa.JSON, nullable=False),
    Column("failed", sa.JSON, nullable=False),
    Column("bytes_down", sa.BigInteger, nullable=False),
    Column("bytes_up", sa.BigInteger, nullable=False),
    Column("seconds", sa.Double, nullable=False),
)

client = Table(
    "client",
    metadata,
    _run_id(primary_key=True),
    Column("client_id", Integer, primary_key=True),
    Column("node_id", String(40), nullable=False),
    Column("name", CleanText, nullable=False),
    Column("num_examples", sa.BigInteger, nullable=False),
    Column("profile", sa.JSON, nullable=False),
)

sweep_trial = Table(
    "sweep_trial",
    metadata,
    Column("sweep_id", Integer, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("settings", sa.JSON, nullable=False),
    Column("seed", sa.BigInteger, nullable=False),
    Column("config", sa.JSON, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("status", String(20), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("run_id", Integer, ForeignKey("run.id", ondelete="SET NULL"), index=True),
    Column("error", CleanText),
    Column("search", sa.JSON),
    one_of("status", TRIAL_STATUSES, of="trial_"),
)
