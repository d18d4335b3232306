"""Transactions that change one run: its row is locked, and the change is announced with the commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.change_feed import announce
from shared.tracking.database import Database
from shared.tracking.fence import check_fence
from shared.tracking.schema import run


@contextmanager
def change_run(
    database: Database, run_id: int, *, lock_timeout_s: float | None = None
) -> Iterator[tuple[sa.Connection, Any]]:
    """A transaction that changes a run, or what belongs to it, and is committed when the block ends.

    Parameters
    ----------
    lock_timeout_s : float, optional, seconds
        See `Database.write`.

    Yields
    ------
    tuple
        The connection, and the id, status and summary of the run, whose row is locked.

    Raises
    ------
    TrackingError
        There is no such run, or the job that this process works for was taken over.
    """
    with database.write(lock_timeout_s=lock_timeout_s) as connection:
        row = lock_run(database, connection, run_id)
        check_fence(connection)
        announce(connection, run_id)
        yield connection, row


def lock_run(database: Database, connection: sa.Connection, run_id: int) -> Any:
    """Let no other transaction change a run until this one ends.

    Returns
    -------
    Row
        With ``id``, ``status`` and ``summary``.

    Raises
    ------
    TrackingError
        There is no such run.
    """
    # SQLite has locked the whole file already; its dialect omits FOR UPDATE.
    columns = (run.c.id, run.c.status, run.c.summary)
    query = sa.select(*columns).where(run.c.id == run_id).with_for_update(key_share=True)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise no_run(database, run_id)
    return row


def no_run(database: Database, run_id: int) -> TrackingError:
    """The error for a run that does not exist."""
    return TrackingError(f"there is no run {run_id} in {database.shown}; `fedtwin runs` lists those that are")
