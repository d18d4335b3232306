"""`Store`: the tracking database, the only SQL of the project; here runs begin and end.

`recorder` adds what is measured meanwhile, `queries` what is read, `engine` the connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.change_feed import Changes
from shared.tracking.database import Database
from shared.tracking.process import Owner, is_gone, owner
from shared.tracking.queries import best_values
from shared.tracking.recorder import Recorder
from shared.tracking.rows import FINISHED, INTERRUPTED
from shared.tracking.schema import run, run_metrics

UNFINISHED = ("pending", "running")


class Store(Recorder):
    """Runs, their metrics, rounds, evaluations and clients, in SQLite or PostgreSQL.

    Opened at its first use, when the schema is brought up to date. When a method that writes returns, its rows
    are on disk. May be shared by threads; connections are closed before a fork: no child inherits one.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST:PORT/NAME``.

    Raises
    ------
    TrackingError
        The URL cannot be used; from every method, the database cannot be used. Passwords are not in its text.
    """

    def __init__(self, url: str) -> None:
        super().__init__(Database(url))

    def __repr__(self) -> str:
        return f"Store({self._database.shown!r})"

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._database.close()

    def changes(self, *, poll_s: float = 0.1) -> Changes:
        """What notices that any process has written to this database.

        Parameters
        ----------
        poll_s : float, seconds
            How often it looks, where it cannot be told.

        Returns
        -------
        Changes
            To be closed by the caller.
        """
        return Changes(self._database, poll_s=poll_s)

    def create_run(
        self,
        *,
        name: str,
        training_mode: str,
        config: Mapping[str, Any],
        seed: int,
        description: str = "",
        parent_id: int | None = None,
        status: str = "running",
    ) -> int:
        """Begin a run that this process owns.

        Parameters
        ----------
        training_mode : {"centralized", "federated", "local", "compare"}
        config : mapping
            The resolved snapshot.
        parent_id : int, optional
            The comparison it belongs to.
        status : {"running", "pending"}
            Pending: another process will claim it.

        Returns
        -------
        int
            Its id; ids grow and are never used again.

        Raises
        ------
        TrackingError
            There is no run ``parent_id``.
        """
        assert status in UNFINISHED, status
        row = {
            "name": name,
            "training_mode": training_mode,
            "config": config,
            "seed": seed,
            "description": description,
            "parent_id": parent_id,
            "status": status,
            "started": datetime.now(UTC),
            "summary": {},
            **asdict(owner()),
        }
        with self._database.write() as connection:
            if parent_id is not None:
                self._lock_run(connection, parent_id)
            key = connection.execute(sa.insert(run).values(row)).inserted_primary_key
            assert key is not None
            self._announce(connection, key[0])
        return int(key[0])

    def claim_run(self, run_id: int, *, config: Mapping[str, Any] | None = None, resume: bool = False) -> None:
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
        with self._database.write() as connection:
            status = self._lock_run(connection, run_id).status
            if status in FINISHED and not resume:
                raise TrackingError(f"run {run_id} is {status} already; start a new run, or resume this one")
            changes: dict[str, Any] = {"status": "running", **asdict(owner())}
            changes |= {"ended": None, "error": None, "stop_reason": None}
            if status == "pending":
                changes["started"] = datetime.now(UTC)
            if config is not None:
                changes["config"] = config
            connection.execute(sa.update(run).where(run.c.id == run_id).values(changes))
            self._announce(connection, run_id)

    def set_owner(self, run_id: int, pid: int) -> None:
        """Give an unfinished run to another process of this machine, such as the child that runs it."""
        mine = (run.c.id == run_id) & run.c.status.in_(UNFINISHED)
        with self._database.write() as connection:
            connection.execute(sa.update(run).where(mine).values(asdict(owner(pid))))
            self._announce(connection, run_id)

    def finish_run(
        self, run_id: int, status: str, *, error: str | None = None, stop_reason: str | None = None
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
        with self._database.write() as connection:
            found = self._lock_run(connection, run_id)
            if found.status not in FINISHED:
                now = datetime.now(UTC)
                self._end(connection, found, status=status, error=error, stop_reason=stop_reason, ended=now)

    def close_orphans(self) -> list[int]:
        """End, as failed, runs of this machine whose process is gone, at the time of their last metric.

        Runs of other machines are left alone: nobody here can tell whether they live. In SQLite, which
        machines do not share, a run from before a reboot counts as gone too.

        Returns
        -------
        list of int
            Their ids.
        """
        here = owner()
        candidates = sa.select(run).where(run.c.status.in_(UNFINISHED), run.c.host == here.host)
        gone = {row.id for row in self._select(candidates) if self._is_gone(row, here=here)}
        if not gone:
            return []
        closed = []
        with self._database.write() as connection:
            for row in connection.execute(candidates.where(run.c.id.in_(gone)).with_for_update()).all():
                if self._is_gone(row, here=here):  # nobody has claimed it in between
                    text = f"process {row.pid} on {row.host} is gone"
                    ended = _last_sign(connection, row)
                    self._end(
                        connection, row, status="failed", stop_reason=INTERRUPTED, error=text, ended=ended
                    )
                    closed.append(int(row.id))
        return closed

    def update_run(self, run_id: int, *, summary: Mapping[str, Any]) -> None:
        """Add to a run's summary; keys that are there already are replaced.

        Parameters
        ----------
        summary : mapping
            In JSON's types; numbers that are not finite become None.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        with self._database.write() as connection:
            merged = {**self._lock_run(connection, run_id).summary, **summary}
            connection.execute(sa.update(run).where(run.c.id == run_id).values(summary=merged))
            self._announce(connection, run_id)

    def _is_gone(self, row: Any, *, here: Owner) -> bool:
        if row.boot_id != here.boot_id:
            return self._database.is_sqlite
        return is_gone(Owner(row.host, row.boot_id, row.pid, row.pid_started))

    def _end(self, connection: sa.Connection, row: Any, **changes: Any) -> None:
        changes["summary"] = {**row.summary, "best": best_values(connection, row.id)}
        connection.execute(sa.update(run).where(run.c.id == row.id).values(changes))
        self._announce(connection, row.id)


def _last_sign(connection: sa.Connection, row: Any) -> datetime:
    # When it died is not known; a client's clock may be ahead of ours.
    query = sa.select(sa.func.max(run_metrics.c.time)).where(run_metrics.c.run_id == row.id)
    started: datetime = row.started
    return min(max(started, connection.scalar(query) or started), datetime.now(UTC))
