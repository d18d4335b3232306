"""`insert_points`: measured values as rows, many a statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice, repeat
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from shared.metrics.point import MetricPoint
from shared.tracking.schema import run_metrics

POINT_COLUMNS = tuple(column for column in run_metrics.c if column.name not in ("id", "run_id"))
ROWS_A_STATEMENT = 100  # of 9 values; old builds of SQLite take 999


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
