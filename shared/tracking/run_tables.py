"""Writes and reads the tables that hold one row for a run and a key: rounds, clients, server evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared.tracking.changes import PutRows
from shared.tracking.database import Database
from shared.tracking.recorder import Recorders


def put_rows(recorders: Recorders, table: sa.Table, run_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store rows of a run in one transaction; a row with the same key is replaced.

    Raises
    ------
    TrackingError
        There is no such run.
    """
    if not rows:
        return
    recorders.write(run_id, PutRows(table, rows))


def rows_of_run(
    database: Database, table: sa.Table, run_id: int, *, by: str, since: int = 0
) -> list[dict[str, Any]]:
    """Rows of a run in the order of a column.

    Parameters
    ----------
    by : str
        The column.
    since : int
        Only rows with at least this value.
    """
    query = sa.select(table).where(table.c.run_id == run_id, table.c[by] >= since).order_by(table.c[by])
    return [dict(row._mapping) for row in database.select(query)]
