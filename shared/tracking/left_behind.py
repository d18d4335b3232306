"""`settle`: writes what processes that are gone have left, or, where nothing can be written, tells it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import DatabaseAway
from shared.tracking.changes import Change, Finish, decode
from shared.tracking.database import Database
from shared.tracking.journal import LeftJournal, left_journals
from shared.tracking.run_life import close_orphans, orphans
from shared.tracking.run_log import logger
from shared.tracking.schema import run
from shared.tracking.transaction import change_run

_LOCK_S = 2.0  # whoever only wants to look does not wait for a backup

# What a run's row would say, by id and column.
Unwritten = dict[int, Mapping[str, Any]]


def settle(database: Database, *, journals: Path) -> Unwritten:
    """Write the journals of processes that are gone, then end, as failed, runs whose process is.

    Returns
    -------
    dict
        How runs have ended whose rows cannot be written now: the database is locked, read-only, on a full disk.

    Raises
    ------
    DatabaseAway
        It cannot be read either.
    """
    unwritten: Unwritten = {}
    for left in left_journals(journals):
        changes = _changes(database, left)
        if changes is None:
            continue
        try:
            if changes:
                _write(database, left.head["run"], changes)
            left.path.unlink(missing_ok=True)
        except (DatabaseAway, OSError):
            ends = [change for change in changes if isinstance(change, Finish)]
            if ends:
                unwritten[left.head["run"]] = {
                    name: getattr(ends[0], name) for name in ("status", "ended", "error", "stop_reason")
                }
    try:
        close_orphans(database, but=set(unwritten), lock_timeout_s=_LOCK_S)
    except DatabaseAway:
        unwritten = {**orphans(database), **unwritten}
    return unwritten


def _changes(database: Database, left: LeftJournal) -> list[Change] | None:
    """What a journal holds; None if it is of another database, or cannot be read."""
    run_id, started = left.head.get("run"), left.head.get("started")
    if not isinstance(run_id, int):
        return [] if not left.head else None  # its process was killed before the first line
    rows = database.select(sa.select(run.c.started).where(run.c.id == run_id))
    if not rows or rows[0].started.isoformat() != started:
        return None
    try:
        return [decode(record) for record in left.records]
    except (KeyError, ValueError, TypeError) as error:
        logger.warning("%s cannot be read: %r", left.path, error)
        return None


def _write(database: Database, run_id: int, changes: list[Change]) -> None:
    with change_run(database, run_id, lock_timeout_s=_LOCK_S) as (connection, row):
        for change in changes:
            change.apply(connection, row)
