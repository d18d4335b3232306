"""`Runs`: how runs begin, change owner and end, and how they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.change_feed import announce
from shared.tracking.database import Database
from shared.tracking.deletion import delete_run
from shared.tracking.metrics import best_values
from shared.tracking.orphans import is_orphan, last_sign
from shared.tracking.process import owner
from shared.tracking.rows import FINISHED, INTERRUPTED, RunRow
from shared.tracking.run_progress import RunProgress, read_progress
from shared.tracking.run_search import search_query
from shared.tracking.schema import run
from shared.tracking.transaction import change_run, lock_run, no_run

UNFINISHED = ("pending", "running")


class Runs:
    """Stores and reads runs; when a method that writes returns, its row is on disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
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
                lock_run(self._database, connection, parent_id)
            key = connection.execute(sa.insert(run).values(row)).inserted_primary_key
            assert key is not None
            announce(connection, key[0])
        return int(key[0])

    def claim(self, run_id: int, *, config: Mapping[str, Any] | None = None, resume: bool = False) -> None:
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
        with change_run(self._database, run_id) as (connection, found):
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

    def set_owner(self, run_id: int, pid: int) -> None:
        """Give an unfinished run to another process of this machine, such as the child that runs it."""
        mine = (run.c.id == run_id) & run.c.status.in_(UNFINISHED)
        with self._database.write() as connection:
            connection.execute(sa.update(run).where(mine).values(asdict(owner(pid))))
            announce(connection, run_id)

    def update(self, run_id: int, *, summary: Mapping[str, Any]) -> None:
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
        with change_run(self._database, run_id) as (connection, found):
            merged = {**found.summary, **summary}
            connection.execute(sa.update(run).where(run.c.id == run_id).values(summary=merged))

    def rename(self, run_id: int, name: str) -> None:
        """Give a run another name; the settings that it stored stay as they are.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        with change_run(self._database, run_id) as (connection, _):
            connection.execute(sa.update(run).where(run.c.id == run_id).values(name=name))

    def tag(self, run_id: int, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> list[str]:
        """Add tags that a run does not have yet, then remove some.

        Returns
        -------
        list of str
            All that it has now, in the order in which they were added.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        with change_run(self._database, run_id) as (connection, _):
            before = connection.execute(sa.select(run.c.tags).where(run.c.id == run_id)).scalar_one()
            tags = [tag for tag in dict.fromkeys([*before, *add]) if tag not in remove]
            connection.execute(sa.update(run).where(run.c.id == run_id).values(tags=tags))
        return tags

    def delete(self, run_id: int, *, with_children: bool = False) -> list[int]:
        """Delete a run and all its rows, but no files; see `shared.tracking.deletion.delete_run`."""
        return delete_run(self._database, run_id, with_children=with_children)

    def finish(
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
            found = lock_run(self._database, connection, run_id)
            if found.status not in FINISHED:
                now = datetime.now(UTC)
                _end(connection, found, status=status, error=error, stop_reason=stop_reason, ended=now)

    def close_orphans(self) -> list[int]:
        """End, as failed, runs of this machine whose process is gone, at the time of their last metric.

        Runs of other machines are left alone: nobody here can tell whether they live. In SQLite, which
        machines do not share, a run from before a reboot counts as gone too.

        Returns
        -------
        list of int
            Their ids.
        """
        here, is_sqlite = owner(), self._database.is_sqlite
        candidates = sa.select(run).where(run.c.status.in_(UNFINISHED), run.c.host == here.host)
        rows = self._database.select(candidates)
        gone = {row.id for row in rows if is_orphan(row, here=here, is_sqlite=is_sqlite)}
        if not gone:
            return []
        closed = []
        with self._database.write() as connection:
            for row in connection.execute(candidates.where(run.c.id.in_(gone)).with_for_update()).all():
                if is_orphan(row, here=here, is_sqlite=is_sqlite):  # nobody has claimed it in between
                    text = f"process {row.pid} on {row.host} is gone"
                    ended = last_sign(connection, row)
                    _end(connection, row, status="failed", stop_reason=INTERRUPTED, error=text, ended=ended)
                    closed.append(int(row.id))
        return closed

    def get(self, run_id: int) -> RunRow:
        """One run.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        found = self.find(run_id)
        if found is None:
            raise no_run(self._database, run_id)
        return found

    def find(self, run_id: int) -> RunRow | None:
        """One run, if there is such a run."""
        rows = self._database.select(sa.select(run).where(run.c.id == run_id))
        return RunRow(**rows[0]._mapping) if rows else None

    def search(
        self,
        *,
        text: str = "",
        mode: str | None = None,
        status: str | None = None,
        stop_reason: str | None = None,
        parent_id: int | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[RunRow]:
        """Runs, newest first.

        Parameters
        ----------
        text : str
            Each word must be in the name, the description, or the names of the data and the model, in any case,
            or be the id.
        before : int, optional
            Only runs with a smaller id: the last one of the page before.
        """
        query = search_query(
            text=text,
            before=before,
            limit=limit,
            is_sqlite=self._database.is_sqlite,
            training_mode=mode,
            status=status,
            stop_reason=stop_reason,
            parent_id=parent_id,
        )
        return [RunRow(**row._mapping) for row in self._database.select(query)]

    def children(self, run_id: int) -> list[RunRow]:
        """Runs whose parent is this one, oldest first."""
        return self.search(parent_id=run_id)[::-1]

    def progress(self, run_ids: Sequence[int]) -> dict[int, RunProgress]:
        """How far runs have come: each answer is one step into an index, however many metrics a run has."""
        return read_progress(self._database, run_ids)


def _end(connection: sa.Connection, row: Any, **changes: Any) -> None:
    changes["summary"] = {**row.summary, "best": best_values(connection, row.id)}
    connection.execute(sa.update(run).where(run.c.id == row.id).values(changes))
    announce(connection, row.id)
