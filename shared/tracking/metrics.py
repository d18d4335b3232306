"""`Metrics`: the measured values of runs, whose row ids are the cursor of the live stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from shared.metrics.catalogue import spec_of
from shared.metrics.point import MetricPoint, MetricSink
from shared.metrics.spec import Mode
from shared.tracking.database import Database
from shared.tracking.rows import MetricRow
from shared.tracking.schema import of_whole_model, run, run_metrics
from shared.tracking.transaction import change_run

POINT_COLUMNS = tuple(column for column in run_metrics.c if column.name not in ("id", "run_id"))
ROWS_A_STATEMENT = 100  # of 9 values; old builds of SQLite take 999


class Metrics:
    """Stores and reads measured values; when `add` returns, its rows are on disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run_id: int, points: Sequence[MetricPoint]) -> int:
        """Store values in one transaction; a value that is there already stays as it is.

        Parameters
        ----------
        points : sequence of MetricPoint
            One value for each client, round, epoch, stage and name.

        Returns
        -------
        int
            How many were new.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        if not points:
            return 0
        # Ids are the cursor of `of_run`: a run has one writer at a time, so that they appear in order.
        with change_run(self._database, run_id) as (connection, _):
            return insert_points(connection, run_id, points)

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

    def cursor(self, run_id: int) -> int:
        """The id of a run's newest value.

        Returns
        -------
        int
            0 if it has none.
        """
        newest = sa.select(sa.func.max(run_metrics.c.id)).where(run_metrics.c.run_id == run_id)
        ((found,),) = self._database.select(newest)
        return found or 0

    def latest(self, run_id: int) -> list[MetricRow]:
        """The last value of each metric, of each client and of the aggregate.

        Returns
        -------
        list of MetricRow
            In the order in which they were stored.
        """
        mine = run_metrics.c.run_id == run_id
        last = (
            sa.select(sa.func.max(run_metrics.c.id))
            .where(mine)
            .group_by(run_metrics.c.client_id, run_metrics.c.stage, run_metrics.c.name)
        )
        query = sa.select(run_metrics).where(mine, run_metrics.c.id.in_(last)).order_by(run_metrics.c.id)
        return [MetricRow(*row) for row in self._database.select(query)]

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


def best_values(connection: sa.Connection, run_id: int) -> dict[str, float]:
    """See `Metrics.best_values`."""
    name, value = run_metrics.c.name, run_metrics.c.value
    query = (
        sa.select(name, sa.func.min(value), sa.func.max(value))
        .where(run_metrics.c.run_id == run_id, run_metrics.c.stage == "val", of_whole_model, value.is_not(None))
        .group_by(name)
        .order_by(name)
    )
    extremes = {metric: (low, high) for metric, low, high in connection.execute(query)}
    modes = {metric: spec_of(metric).mode for metric in extremes} | _monitored_mode(connection, run_id)
    return {
        metric: low if modes[metric] == "min" else high
        for metric, (low, high) in extremes.items()
        if modes[metric] is not None
    }


def _monitored_mode(connection: sa.Connection, run_id: int) -> dict[str, Mode | None]:
    # Only the run itself knows the direction of a metric that is not in the catalogue.
    found = connection.execute(sa.select(run.c.config, run.c.summary).where(run.c.id == run_id)).first()
    config, summary = found or ({}, {})
    trainer = config.get("trainer") or {}
    stored = summary.get("monitor") or {"key": trainer.get("monitor"), "mode": trainer.get("mode")}
    stage, _, name = str(stored["key"] or "").partition("/")
    own: bool = stage == "val" and stored["mode"] in ("min", "max")
    return {name: stored["mode"]} if own and spec_of(name).mode is None else {}


def insert_points(connection: sa.Connection, run_id: int, points: Sequence[MetricPoint]) -> int:
    """Insert values in the caller's transaction, in which the run is locked; returns how many were new."""
    # Many rows a statement, past SQLAlchemy's handling of each parameter: three times as many rows a second.
    dialect = connection.dialect
    values: list[Iterable[Any]] = [repeat(run_id, len(points))]
    for column in POINT_COLUMNS:
        given = map(attrgetter(column.name), points)
        to_database = column.type.dialect_impl(dialect).bind_processor(dialect)
        values.append(given if to_database is None else map(to_database, given))
    names = ", ".join(("run_id", *(column.name for column in POINT_COLUMNS)))
    mark = "?" if dialect.name == "sqlite" else "%s"
    row = "(" + ", ".join(mark for _ in values) + ")"
    rows, added = zip(*values, strict=True), 0
    while batch := list(islice(rows, ROWS_A_STATEMENT)):
        every = ", ".join(repeat(row, len(batch)))
        insert = f"INSERT INTO run_metrics ({names}) VALUES {every} ON CONFLICT DO NOTHING"
        added += connection.exec_driver_sql(insert, tuple(chain.from_iterable(batch))).rowcount
    return added
