"""`Runs`: how runs begin, change and are found; how they change owner and end is in `run_life`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.tracking.changes import MergeSummary
from shared.tracking.database import Database
from shared.tracking.deletion import delete_run
from shared.tracking.fence import check_fence
from shared.tracking.left_behind import Unwritten, settle
from shared.tracking.recorder import Recorders
from shared.tracking.rows import RunRow
from shared.tracking.run_life import UNFINISHED, claim_run, close_orphans, finish_run, insert_run, set_owner
from shared.tracking.run_progress import RunProgress, read_progress
from shared.tracking.run_search import search_query
from shared.tracking.schema import run
from shared.tracking.tenants import Everyone, Scope, Tenant, owner_of, within
from shared.tracking.transaction import change_run, lock_run, no_run


class Runs:
    """Stores and reads runs of a scope; when a method that writes returns, its row is on disk."""

    def __init__(self, database: Database, recorders: Recorders, scope: Scope) -> None:
        self._database, self._recorders, self._scope = database, recorders, scope
        self._unwritten: Unwritten = {}
        self._settled_by = self

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
        training_mode : {"centralized", "federated", "local", "compare", "sweep"}
        config : mapping
            The resolved snapshot.
        parent_id : int, optional
            The comparison or the sweep that it belongs to.
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
        with self._database.write() as connection:
            if parent_id is not None:
                lock_run(self._database, connection, parent_id)
            check_fence(connection)
            return insert_run(
                connection,
                owned_by=owner_of(self._scope),
                name=name,
                training_mode=training_mode,
                config=config,
                seed=seed,
                description=description,
                parent_id=parent_id,
                status=status,
            )

    def claim(self, run_id: int, *, config: Mapping[str, Any] | None = None, resume: bool = False) -> None:
        """Make this process the owner of a run; see `shared.tracking.run_life.claim_run`."""
        claim_run(self._database, run_id, config=config, resume=resume)

    def set_owner(self, run_id: int, pid: int) -> None:
        """Give an unfinished run to another process of this machine, such as the child that runs it."""
        set_owner(self._database, run_id, pid)

    def finish(
        self, run_id: int, status: str, *, error: str | None = None, stop_reason: str | None = None
    ) -> None:
        """End a run, unless it has ended; see `shared.tracking.run_life.finish_run`."""
        finish_run(self._recorders, run_id, status, error=error, stop_reason=stop_reason)

    def close_orphans(self) -> list[int]:
        """End runs of this machine whose process is gone; see `shared.tracking.run_life.close_orphans`."""
        return close_orphans(self._database)

    def settle(self, journals: Path) -> None:
        """Write what processes that are gone have left, and end their runs.

        Where that cannot be written, the runs that this object reads say it all the same.

        Parameters
        ----------
        journals : Path
            The home's folder of them, see `shared.tracking.left_behind`.
        """
        self._unwritten = settle(self._database, journals=journals)

    @property
    def _owner(self) -> dict[str, str]:
        return {} if isinstance(self._scope, Everyone) else {"tenant": self._scope.name}

    def _check(self, run_id: int) -> None:
        if not isinstance(self._scope, Everyone):
            self.get(run_id)

    def share_unwritten(self, other: Runs) -> None:
        """Say of runs what another object's `settle` could not write, now and later."""
        self._settled_by = other

    def _row(self, row: Any) -> RunRow:
        values = dict(row._mapping)
        del values["tenant"]
        stored = RunRow(**values)
        return stored if stored.finished else replace(stored, **self._settled_by._unwritten.get(stored.id, {}))

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
        self._recorders.write(run_id, MergeSummary(summary))

    def rename(self, run_id: int, name: str) -> None:
        """Give a run another name; the settings that it stored stay as they are.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        self._set(run_id, name=name)

    def describe(self, run_id: int, description: str) -> None:
        """Replace a run's description.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        self._set(run_id, description=description)

    def _set(self, run_id: int, **values: str) -> None:
        self._check(run_id)
        with change_run(self._database, run_id) as (connection, _):
            connection.execute(sa.update(run).where(run.c.id == run_id).values(values))

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
        self._check(run_id)
        with change_run(self._database, run_id) as (connection, _):
            before = connection.execute(sa.select(run.c.tags).where(run.c.id == run_id)).scalar_one()
            tags = [tag for tag in dict.fromkeys([*before, *add]) if tag not in remove]
            connection.execute(sa.update(run).where(run.c.id == run_id).values(tags=tags))
        return tags

    def delete(self, run_id: int, *, with_children: bool = False, force: bool = False) -> list[int]:
        """Delete a run and all its rows, but no files; see `shared.tracking.deletion.delete_run`."""
        self._check(run_id)
        return delete_run(self._database, run_id, with_children=with_children, force=force)

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

    def tenant(self, run_id: int) -> Tenant:
        """Whose a run is.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        mine = (run.c.id == run_id) & within(run.c.tenant, self._scope)
        rows = self._database.select(sa.select(run.c.tenant).where(mine))
        if not rows:
            raise no_run(self._database, run_id)
        return Tenant(rows[0].tenant)

    def tenants(self, run_ids: Sequence[int]) -> dict[int, str]:
        """Whose runs are, by their numbers; without those that are not there."""
        query = sa.select(run.c.id, run.c.tenant).where(within(run.c.tenant, self._scope))
        ids = set(run_ids)
        return {row.id: row.tenant for row in self._database.select(query) if row.id in ids}

    def find(self, run_id: int) -> RunRow | None:
        """One run, if there is such a run."""
        mine = (run.c.id == run_id) & within(run.c.tenant, self._scope)
        rows = self._database.select(sa.select(run).where(mine))
        return self._row(rows[0]) if rows else None

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
        wanted = {"status": status, "stop_reason": stop_reason}
        as_stored = not self._settled_by._unwritten
        query = search_query(
            text=text,
            before=before,
            limit=limit if as_stored else None,
            is_sqlite=self._database.is_sqlite,
            training_mode=mode,
            parent_id=parent_id,
            **self._owner,
            **(wanted if as_stored else {}),
        )
        rows = [self._row(row) for row in self._database.select(query)]
        if as_stored:
            return rows
        return [r for r in rows if all(v in (None, getattr(r, n)) for n, v in wanted.items())][:limit]

    def children(self, run_id: int) -> list[RunRow]:
        """Runs whose parent is this one, oldest first."""
        return self.search(parent_id=run_id)[::-1]

    def progress(self, run_ids: Sequence[int]) -> dict[int, RunProgress]:
        """How far runs have come: each answer is one step into an index, however many metrics a run has."""
        return read_progress(self._database, run_ids)
