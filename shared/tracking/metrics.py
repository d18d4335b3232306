"""`Metrics`: the measured values of runs, whose row ids are the cursor of the live stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from shared.metrics.point import MetricPoint, MetricSink
from shared.tracking.best_values import best_values
from shared.tracking.changes import AddPoints
from shared.tracking.database import Database
from shared.tracking.digests import ROWS, count_since, digested, keep_digest, newest_digested
from shared.tracking.recorder import Recorders
from shared.tracking.rows import MetricRow
from shared.tracking.schema import run_metrics
from shared.tracking.transaction import no_run

IDS_A_STATEMENT = 900
PAGE = 2000  # rows; some milliseconds
RawRow = Sequence[Any]


class Metrics:
    """Stores and reads measured values; when `add` returns, its rows are on disk."""

    def __init__(self, database: Database, recorders: Recorders) -> None:
        self._database, self._recorders = database, recorders
        self._undigested: dict[int, int] = {}  # rows of the runs that this process writes

    def add(self, run_id: int, points: Sequence[MetricPoint]) -> int:
        """Store values in one transaction; a value that is there already stays as it is.

        Parameters
        ----------
        points : sequence of MetricPoint
            One value for each client, round, epoch, stage and name.

        Returns
        -------
        int
            How many were new; 0 where they wait (see `shared.tracking.recorder`).

        Raises
        ------
        TrackingError
            There is no such run.
        """
        if not points:
            return 0
        # Ids are the cursor of `of_run`: a run has one writer at a time, so that they appear in order.
        return self._recorders.write(run_id, AddPoints(points, counted=self._count))

    def _count(self, connection: sa.Connection, run_id: int, added: int) -> None:
        known = self._undigested.get(run_id)
        if known is None:
            newer = count_since(connection, run_id, after=digested(connection, run_id), most=ROWS)
        else:
            newer = known + added
        if newer >= ROWS:
            keep_digest(connection, run_id)
            newer = 0
        self._undigested[run_id] = newer

    def sink(self, run_id: int) -> MetricSink:
        """Where the points of one run go."""
        return RunSink(self, run_id)

    def of_run(self, run_id: int, *, after: int = 0, limit: int | None = None) -> list[MetricRow]:
        """Values of a run in the order in which they were stored.

        A reader that passes the last id it saw as ``after`` misses nothing and sees nothing twice.

        Parameters
        ----------
        after : int
            Only rows whose id is greater.
        """
        query = sa.select(run_metrics).where(run_metrics.c.run_id == run_id, run_metrics.c.id > after)
        return [MetricRow(*row) for row in self._database.select(query.order_by(run_metrics.c.id).limit(limit))]

    def pages(self, run_id: int) -> Iterator[Sequence[RawRow]]:
        """All values of a run, some at a time, oldest first, as the driver holds them, read when they are due.

        Yields
        ------
        sequence of tuple
            The columns of `MetricRow`; None for NaN, `iso_time` reads the time.

        Raises
        ------
        TrackingError
            The run was deleted meanwhile.
        """
        columns = run_metrics.c
        time = sa.type_coerce(columns.time, sa.String) if self._database.is_sqlite else columns.time
        raw: list[sa.ColumnElement[Any]] = [
            column for column in columns if column.name not in ("value", "time")
        ]
        place = [column.name for column in columns].index("value")
        raw[place:place] = [sa.type_coerce(columns.value, sa.Double)]
        # Each page is a transaction of its own: nobody who reads slowly keeps the database from tidying up.
        after, until = 0, self.cursor(run_id)
        while after < until:
            query = sa.select(*raw, time).where(
                columns.run_id == run_id, columns.id > after, columns.id <= until
            )
            with self._database.read() as connection:
                # The driver's tuples: to make SQLAlchemy's rows of them takes as long as to read them.
                cursor = connection.execute(query.order_by(columns.id).limit(PAGE)).cursor
                assert cursor is not None
                page = cursor.fetchall()
            if not page:
                raise no_run(self._database, run_id)
            after = page[-1][0]
            yield page

    def count(self, run_id: int) -> int:
        """How many values a run has."""
        query = sa.select(sa.func.count()).select_from(run_metrics).where(run_metrics.c.run_id == run_id)
        return int(self._database.select(query)[0][0])

    def cursor(self, run_id: int, *, before: int = 0) -> int:
        """The id of a run's newest value, or of the one before so many of the newest.

        Returns
        -------
        int
            0 if it has none.
        """
        ids = sa.select(run_metrics.c.id).where(run_metrics.c.run_id == run_id)
        found = self._database.select(ids.order_by(run_metrics.c.id.desc()).offset(before).limit(1))
        return int(found[0][0]) if found else 0

    def latest(self, run_id: int) -> list[MetricRow]:
        """The last value of each metric, of each client and of the aggregate.

        Returns
        -------
        list of MetricRow
            In the order in which they were stored.
        """
        mine = run_metrics.c.run_id == run_id
        with self._database.read() as connection:
            known, after = newest_digested(connection, run_id)
            last = (
                sa.select(sa.func.max(run_metrics.c.id))
                .where(mine, run_metrics.c.id > after)
                .group_by(run_metrics.c.client_id, run_metrics.c.stage, run_metrics.c.name)
            )
            query = sa.select(run_metrics).where(mine, run_metrics.c.id.in_(last))
            found = [MetricRow(*row) for row in connection.execute(query)]
            for some in batched(known, IDS_A_STATEMENT):
                query = sa.select(run_metrics).where(run_metrics.c.id.in_(some))
                found += [MetricRow(*row) for row in connection.execute(query)]
        newest: dict[tuple[int | None, str, str], MetricRow] = {}
        for row in sorted(found, key=attrgetter("id")):
            newest[row.client_id, row.stage, row.name] = row
        return sorted(newest.values(), key=attrgetter("id"))

    def best_values(self, run_id: int) -> dict[str, float]:
        """The best validation value of each metric of the whole model whose better direction is known.

        Returns
        -------
        dict
            Such as ``{"accuracy": 0.97, "loss": 0.11}``; without metrics that were never defined.
        """
        with self._database.read() as connection:
            return best_values(connection, run_id)


@dataclass(frozen=True)
class RunSink:
    """The `MetricSink` of one run: points are on disk when `add` returns."""

    metrics: Metrics
    run_id: int

    def add(self, points: Sequence[MetricPoint]) -> None:
        """Store points."""
        self.metrics.add(self.run_id, points)


def iso_time(time: str | datetime) -> str:
    """A time of `Metrics.pages`, in ISO 8601 and UTC; text is as SQLite holds it."""
    if isinstance(time, str):
        return time.replace(" ", "T").removesuffix(".000000") + "+00:00"
    return time.astimezone(UTC).isoformat()


def batched(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Parts of a sequence of at most some length."""
    return (values[start : start + size] for start in range(0, len(values), size))
