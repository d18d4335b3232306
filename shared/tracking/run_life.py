"""How runs begin, change owner and end: when a process takes a run, finishes it, or is gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.change_feed import announce
from shared.tracking.changes import Finish
from shared.tracking.database import Database
from shared.tracking.model_guard import check_not_guarded
from shared.tracking.orphans import is_orphan, last_sign
from shared.tracking.process import owner
from shared.tracking.recorder import Recorders
from shared.tracking.rows import FINISHED, INTERRUPTED
from shared.tracking.run_end import end_run
from shared.tracking.schema import run
from shared.tracking.tenants import DEFAULT
from shared.tracking.transaction import change_run

UNFINISHED = ("pending", "running")


def insert_run(
    connection: sa.Connection,
    *,
    config: Mapping[str, Any],
    summary: Mapping[str, Any] | None = None,
    owned_by: str = DEFAULT.name,
    **values: Any,
) -> int:
    """Insert the row of a run that this process owns; see `shared.tracking.runs.Runs.create`.

    Parameters
    ----------
    owned_by : str
        The tenant of a run without a parent; one with a parent is of its parent's tenant.

    Returns
    -------
    int
        Its id.
    """
    parent_id = values.get("parent_id")
    parents = sa.select(run.c.tenant).where(run.c.id == parent_id).scalar_subquery()
    row = {
        "config": config,
        "tenant": owned_by if parent_id is None else sa.func.coalesce(parents, owned_by),
        **values,
        "started": datetime.now(UTC),
        "summary": dict(summary or {}),
        **asdict(owner()),
    }
    key = connection.execute(sa.insert(run).values(row)).inserted_primary_key
    assert key is not None
    announce(connection, key[0])
    return int(key[0])


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
        There is no such run, it is finished and not to be resumed, or a named version of a model stands on it.
    """
    with change_run(database, run_id) as (connection, found):
        status = found.status
        if status in FINISHED and not resume:
            raise TrackingError(f"run {run_id} is {status} already; start a new run, or resume this one")
        if status == "completed":
            check_not_guarded(
                connection,
                [run_id],
                advice=f"training it on would change it: begin a new run with model.weights=registry:{run_id}",
            )
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
    recorders: Recorders, run_id: int, status: str, *, error: str | None = None, stop_reason: str | None = None
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
    DatabaseAway
        The database cannot be used; what the run recorded is kept in its journal.
    """
    assert status in FINISHED, status
    recorders.write(run_id, Finish(status, datetime.now(UTC), error, stop_reason))


def close_orphans(
    database: Database, *, but: Collection[int] = (), lock_timeout_s: float | None = None
) -> list[int]:
    """End, as failed, runs of this machine whose process is gone, at the time of their last metric.

    Runs of other machines are left alone: nobody here can tell whether they live. In SQLite, which
    machines do not share, a run from before a reboot counts as gone too.

    Parameters
    ----------
    but : collection of int
        Runs that are left alone too: their journal says how they ended.
    lock_timeout_s : float, optional, seconds
        See `Database.write`.

    Returns
    -------
    list of int
        Their ids.
    """
    gone = orphans(database).keys() - set(but)
    if not gone:
        return []
    here, closed = owner(), []
    candidates = sa.select(run).where(run.c.status.in_(UNFINISHED), run.c.id.in_(gone))
    with database.write(lock_timeout_s=lock_timeout_s) as connection:
        for row in connection.execute(candidates.with_for_update()).all():
            if is_orphan(row, here=here, is_sqlite=database.is_sqlite):  # nobody has claimed it in between
                end_run(connection, row.id, **_gone(connection, row))
                announce(connection, row.id)
                closed.append(int(row.id))
    return closed


def orphans(database: Database) -> dict[int, dict[str, Any]]:
    """Runs of this machine whose process is gone, and how they have ended."""
    here = owner()
    candidates = sa.select(run).where(run.c.status.in_(UNFINISHED), run.c.host == here.host)
    with database.read() as connection:
        rows = connection.execute(candidates).all()
        return {
            row.id: _gone(connection, row)
            for row in rows
            if is_orphan(row, here=here, is_sqlite=database.is_sqlite)
        }


def _gone(connection: sa.Connection, row: Any) -> dict[str, Any]:
    return {
        "status": "failed",
        "stop_reason": INTERRUPTED,
        "error": f"process {row.pid} on {row.host} is gone",
        "ended": last_sign(connection, row),
    }
