"""How runs change owner and end: what `Runs` does when a process takes a run, finishes it, or is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.change_feed import announce
from shared.tracking.database import Database
from shared.tracking.metrics import best_values
from shared.tracking.orphans import is_orphan, last_sign
from shared.tracking.process import owner
from shared.tracking.rows import FINISHED, INTERRUPTED
from shared.tracking.schema import run
from shared.tracking.transaction import change_run, lock_run

UNFINISHED = ("pending", "running")


def claim_run(
    database: Database, run_id: int, *, config: Mapping[str, Any] | None = None, resume: bool = False
) -> None:
    """Make this process the owner of a run that another one created, and its status running.

    Parameters
    ----------
    config : mapping, optional
        Replaces the stored one.
    resume : bool
        Reopen the run if it is finished.

    Raises
    ------
    TrackingError
        There is no such run, or it is finished and not to be resumed.
    """
    with change_run(database, run_id) as (connection, found):
        status = found.status
        if status in FINISHED and not resume:
            raise TrackingError(f"run {run_id} is {status} already; start a new run, or resume this one")
        changes: dict[str, Any] = {"status": "running", **asdict(owner())}
        changes |= {"ended": None, "error": None, "stop_reason": None}
        if status == "pending":
            changes["started"] = datetime.now(UTC)
        if config is not None:
            changes["config"] = config
        connection.execute(sa.update(run).where(run.c.id == run_id).values(changes))


def set_owner(database: Database, run_id: int, pid: int) -> None:
    """Give an unfinished run to another process of this machine, such as the child that runs it."""
    mine = (run.c.id == run_id) & run.c.status.in_(UNFINISHED)
    with database.write() as connection:
        connection.execute(sa.update(run).where(mine).values(asdict(owner(pid))))
        announce(connection, run_id)


def finish_run(
    database: Database, run_id: int, status: str, *, error: str | None = None, stop_reason: str | None = None
) -> None:
    """End a run, and keep its best validation values in ``summary["best"]``; an ended run stays as it is.

    Parameters
    ----------
    status : {"completed", "failed", "stopped"}
    error : str, optional
        Why it failed.
    stop_reason : str, optional
        Why it ended before its configured length, or was stopped.

    Raises
    ------
    TrackingError
        There is no such run.
    """
    assert status in FINISHED, status
    with database.write() as connection:
        found = lock_run(database, connection, run_id)
        if found.status not in FINISHED:
            now = datetime.now(UTC)
            _end(connection, found, status=status, error=error, stop_reason=stop_reason, ended=now)


def close_orphans(database: Database) -> list[int]:
    """End, as failed, runs of this machine whose process is gone, at the time of their last metric.

    Runs of other machines are left alone: nobody here can tell whether they live. In SQLite, which
    machines do not share, a run from before a reboot counts as gone too.

    Returns
    -------
    list of int
        Their ids.
    """
    here, is_sqlite = owner(), database.is_sqlite
    candidates = sa.select(run).where(run.c.status.in_(UNFINISHED), run.c.host == here.host)
    rows = database.select(candidates)
    gone = {row.id for row in rows if is_orphan(row, here=here, is_sqlite=is_sqlite)}
    if not gone:
        return []
    closed = []
    with database.write() as connection:
        for row in connection.execute(candidates.where(run.c.id.in_(gone)).with_for_update()).all():
            if is_orphan(row, here=here, is_sqlite=is_sqlite):  # nobody has claimed it in between
                text = f"process {row.pid} on {row.host} is gone"
                ended = last_sign(connection, row)
                _end(connection, row, status="failed", stop_reason=INTERRUPTED, error=text, ended=ended)
                closed.append(int(row.id))
    return closed


def _end(connection: sa.Connection, row: Any, **changes: Any) -> None:
    changes["summary"] = {**row.summary, "best": best_values(connection, row.id)}
    connection.execute(sa.update(run).where(run.c.id == row.id).values(changes))
    announce(connection, row.id)
