"""Writes and reads the tables that hold one row for a run and a key: rounds, clients, server evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.tracking.database import Database
from shared.tracking.transaction import change_run


def put_rows(database: Database, table: sa.Table, run_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store rows of a run in one transaction; a row with the same key is replaced.

    Raises
    ------
    TrackingError
        There is no such run.
    """
    if not rows:
        return
    insert = sqlite.insert(table) if database.is_sqlite else postgresql.insert(table)
    keys = [column.name for column in table.primary_key]
    others = {column.name: insert.excluded[column.name] for column in table.c if column.name not in keys}
    statement = insert.on_conflict_do_update(index_elements=keys, set_=others)
    with change_run(database, run_id) as (connection, _):
        connection.execute(statement, [{"run_id": run_id, **row} for row in rows])


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
