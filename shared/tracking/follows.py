"""`Follows`: how far external trackers have come: what each was sent of each run, and what is new since."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.dialects import postgresql, sqlite

from shared.runtime.errors import TrackingError
from shared.tracking.database import Database
from shared.tracking.follow_tables import follow
from shared.tracking.model_tables import model_alias, model_version
from shared.tracking.rows import FINISHED
from shared.tracking.schema import run


@dataclass(frozen=True, slots=True)
class Due:
    """A run of which something may be new.

    Attributes
    ----------
    told : str
        All of it that may change beside its rows: equal texts, nothing new.
    """

    run_id: int
    told: str


@dataclass(frozen=True, slots=True)
class FollowRow:
    """What a target has been sent of a run.

    Attributes
    ----------
    key : str
        Random, the run's identity at the target: given before anything is sent.
    cursor : int
        The last metric row that was sent.
    state : dict
        What the target's tracker keeps, in JSON's types; empty before it has begun.
    told : str
        See `Due`; empty until all was sent.
    """

    key: str
    cursor: int
    state: dict[str, Any]
    told: str


class Follows:
    """Stores and reads the progress of followers, by target: a text of any length that names it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, target: str, *, after: int = 0) -> list[Due]:
        """Runs that have begun and have not been sent, have changed since, or have not ended; oldest first.

        Parameters
        ----------
        after : int
            Only runs with a greater id.
        """
        sent = sa.and_(follow.c.run_id == run.c.id, follow.c.target == _digest(target))
        columns = (run.c.id, run.c.name, run.c.status, run.c.ended, run.c.tags, follow.c.told)
        query = sa.select(*columns).outerjoin(follow, sent).where(run.c.id > after, run.c.status != "pending")
        versions = sa.select(model_version, model_alias.c.alias).outerjoin(
            model_alias, model_alias.c.version_id == model_version.c.id
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(run.c.id)).all()
            named: dict[int, list[str]] = {}
            for one in connection.execute(versions):
                number = f"{one.model_id} {one.major}.{one.minor}.{one.patch} {one.alias or ''}"
                named.setdefault(one.run_id, []).append(number)
        found = []
        for row in rows:
            parts = [row.name, row.status, str(row.ended), row.tags, sorted(named.get(row.id, ()))]
            told = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
            if row.status not in FINISHED or told != row.told:
                found.append(Due(row.id, told))
        return found

    def find(self, target: str, run_id: int) -> FollowRow | None:
        """What a target has been sent of a run; None if nothing was begun."""
        columns = (follow.c.key, follow.c.cursor, follow.c.state, follow.c.told)
        rows = self._database.select(sa.select(*columns).where(*_here(target, run_id)))
        return FollowRow(*rows[0]) if rows else None

    def begin(self, target: str, run_id: int) -> FollowRow:
        """Give a run its key at a target; one that has one keeps it."""
        dialect = sqlite if self._database.is_sqlite else postgresql
        new = {"target": _digest(target), "run_id": run_id, "key": uuid.uuid4().hex}
        statement = dialect.insert(follow).values(**new, cursor=0, state={}, told="")
        with self._database.write() as connection:
            connection.execute(statement.on_conflict_do_nothing(index_elements=["target", "run_id"]))
        found = self.find(target, run_id)
        assert found is not None
        return found

    def save(self, target: str, run_id: int, *, cursor: int, state: Mapping[str, Any], told: str) -> None:
        """Write what a target has been sent; nothing where the run was deleted meanwhile."""
        values = {"cursor": cursor, "state": dict(state), "told": told}
        with self._database.write() as connection:
            connection.execute(sa.update(follow).where(*_here(target, run_id)).values(**values))

    @contextmanager
    def alone(self, target: str) -> Iterator[None]:
        """Keep other processes from following for the same target, for the duration of a block.

        Raises
        ------
        TrackingError
            One does already.
        """
        busy = TrackingError(f"another process already follows the runs of {self._database.shown} for {target}")
        if (path := self._database.path) is not None:
            try:
                with FileLock(f"{path}.follow-{_digest(target)[:8]}.lock", timeout=0):
                    yield
            except Timeout:
                raise busy from None
            return
        driver = self._database.connect_apart()  # PostgreSQL ends the lock with the connection
        try:
            driver.autocommit = True
            number = int(_digest(target)[:15], 16)
            if not driver.execute("SELECT pg_try_advisory_lock(%s)", (number,)).fetchone()[0]:
                raise busy
            yield
        finally:
            driver.close()


def _digest(target: str) -> str:
    return hashlib.sha256(target.encode()).hexdigest()


def _here(target: str, run_id: int) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return follow.c.target == _digest(target), follow.c.run_id == run_id
