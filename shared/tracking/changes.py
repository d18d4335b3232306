"""What a run writes of itself, as data: applied to the database at once, or kept as JSON until it can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.metrics.point import MetricPoint
from shared.tracking.point_rows import insert_points
from shared.tracking.rows import json_ready
from shared.tracking.run_end import end_run
from shared.tracking.schema import UtcDateTime, client, round_, run, server_evaluation

TABLES = {table.name: table for table in (client, round_, server_evaluation)}


class Change(Protocol):
    """One change of a run; the same change twice is the same as once."""

    def apply(self, connection: sa.Connection, row: Any) -> int:
        """Write it, in the transaction in which the run's row is locked; returns how many rows are new."""
        ...

    def encode(self) -> dict[str, Any]:
        """In JSON's types, see `decode`; numbers need not be finite."""
        ...


@dataclass(frozen=True)
class AddPoints:
    """Measured values.

    Attributes
    ----------
    counted : callable, optional
        Takes the connection, the run's id and how many rows are new, in the same transaction.
    """

    points: Sequence[MetricPoint]
    counted: Callable[[sa.Connection, int, int], None] | None = None

    def apply(self, connection: sa.Connection, row: Any) -> int:
        """Insert those that are new."""
        added = insert_points(connection, row.id, self.points)
        if self.counted is not None:
            self.counted(connection, row.id, added)
        return added

    def encode(self) -> dict[str, Any]:
        """As rows without the names of columns."""
        rows = [
            [p.stage, p.name, float(p.value), p.client_id, p.round, p.epoch, p.num_examples, p.time.isoformat()]
            for p in self.points
        ]
        return {"points": rows}


@dataclass(frozen=True)
class PutRows:
    """Rows of a table that has one for a run and a key; those with the same key are replaced."""

    table: sa.Table
    rows: Sequence[Mapping[str, Any]]

    def apply(self, connection: sa.Connection, row: Any) -> int:
        """Insert or replace."""
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        insert = dialect.insert(self.table)
        keys = [column.name for column in self.table.primary_key]
        others = {c.name: insert.excluded[c.name] for c in self.table.c if c.name not in keys}
        statement = insert.on_conflict_do_update(index_elements=keys, set_=others)
        connection.execute(statement, [{"run_id": row.id, **one} for one in self.rows])
        return len(self.rows)

    def encode(self) -> dict[str, Any]:
        """With times as text."""
        rows = [
            {name: v.isoformat() if isinstance(v, datetime) else v for name, v in row.items()}
            for row in self.rows
        ]
        return {"table": self.table.name, "rows": rows}


@dataclass(frozen=True)
class MergeSummary:
    """Entries of the summary; keys that are there are replaced."""

    summary: Mapping[str, Any]

    def apply(self, connection: sa.Connection, row: Any) -> int:
        """Read, merge, write."""
        before = connection.execute(sa.select(run.c.summary).where(run.c.id == row.id)).scalar_one()
        merged = {**before, **self.summary}
        connection.execute(sa.update(run).where(run.c.id == row.id).values(summary=merged))
        return 1

    def encode(self) -> dict[str, Any]:
        """In JSON's types."""
        return {"summary": json_ready(self.summary)}


@dataclass(frozen=True)
class Finish:
    """The end of a run; one that has ended stays as it is, unless it only lost its process.

    Attributes
    ----------
    status : {"completed", "failed", "stopped"}
    ended : datetime
        Aware.
    """

    status: str
    ended: datetime
    error: str | None = None
    stop_reason: str | None = None
    kept: bool = False  # in a journal, so that the run may have been taken for interrupted

    def apply(self, connection: sa.Connection, row: Any) -> int:
        """End it."""
        return end_run(
            connection,
            row.id,
            status=self.status,
            ended=self.ended,
            error=self.error,
            stop_reason=self.stop_reason,
            known_better=self.kept,
        )

    def encode(self) -> dict[str, Any]:
        """With the time as text."""
        return {"finish": [self.status, self.ended.isoformat(), self.error, self.stop_reason]}


def decode(record: Mapping[str, Any]) -> Change:
    """The inverse of `encode`.

    Raises
    ------
    KeyError, ValueError, TypeError
        It is none.
    """
    if "points" in record:
        return AddPoints([_point(*row) for row in record["points"]])
    if "rows" in record:
        table = TABLES[record["table"]]
        times = [c.name for c in table.c if isinstance(c.type, UtcDateTime)]
        rows = [{**row, **{n: datetime.fromisoformat(row[n]) for n in times}} for row in record["rows"]]
        return PutRows(table, rows)
    if "summary" in record:
        return MergeSummary(record["summary"])
    status, ended, error, stop_reason = record["finish"]
    return Finish(status, datetime.fromisoformat(ended), error, stop_reason, kept=True)


def _point(
    stage: Any,
    name: str,
    value: float,
    client_id: int | None,
    round: int | None,
    epoch: int | None,
    num_examples: int | None,
    time: str,
) -> MetricPoint:
    return MetricPoint(
        stage=stage,
        name=name,
        value=value,
        client_id=client_id,
        round=round,
        epoch=epoch,
        num_examples=num_examples,
        time=datetime.fromisoformat(time).astimezone(UTC),
    )
