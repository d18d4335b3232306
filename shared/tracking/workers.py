"""`Workers`: who runs jobs, since when, and when each was last heard of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.tracking.database import Database, database_now
from shared.tracking.job_tables import worker
from shared.tracking.rows import Row

KEPT = timedelta(days=1)  # workers that are gone


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that trains the jobs of a worker, as the worker last saw it.

    Attributes
    ----------
    problem : str or None
        Why it could start nothing; then its resources are not known.
    nodes : int or None
        Machines of Ray, or workers of Dask.
    cpus_free, gpus_free : float or None
        What no job or task has reserved; None where the cluster does not say.
    memory : int or None, bytes
    """

    address: str
    problem: str | None = None
    nodes: int | None = None
    cpus: float | None = None
    cpus_free: float | None = None
    gpus: float | None = None
    gpus_free: float | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerRow(Row):
    """One worker.

    Attributes
    ----------
    name : str
        As in `JobRow.worker`.
    backend : {"process", "dask", "ray"}
        Where it runs the attempts of jobs: in a process group of its machine, or on a cluster.
    seen : datetime
        Its last heartbeat.
    gone : bool
        It was silent for longer than its lease: killed, or its machine is away.
    job_id : int or None
        What it runs, or ran when it was last heard of.
    cluster : dict or None
        A `Cluster`; None where it runs jobs on its own machine.
    """

    name: str
    host: str
    pid: int
    backend: str
    since: datetime
    seen: datetime
    gone: bool
    job_id: int | None
    cluster: dict[str, Any] | None

    @property
    def state(self) -> str:
        """In a word: idle, busy or gone."""
        if self.gone:
            return "gone"
        return "idle" if self.job_id is None else "busy"


class Workers:
    """Stores and reads workers, which serve all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def beat(
        self,
        name: str,
        *,
        host: str,
        pid: int,
        backend: str,
        lease_s: float,
        job_id: int | None,
        new: bool,
        cluster: Cluster | None = None,
    ) -> None:
        """Keep that a worker lives.

        Parameters
        ----------
        new : bool
            Whether it has just begun, so that a row of the same name is of another one.
        """
        with self._database.write() as connection:
            now = database_now(connection)
            dialect = sqlite if self._database.is_sqlite else postgresql
            values = {"host": host, "pid": pid, "backend": backend, "seen": now, "lease_s": lease_s}
            values["cluster"] = None if cluster is None else asdict(cluster)
            insert = dialect.insert(worker).values(name=name, since=now, job_id=job_id, **values)
            kept = {**values, "job_id": job_id, **({"since": now} if new else {})}
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=kept))
            if new:
                connection.execute(sa.delete(worker).where(worker.c.seen < now - KEPT))

    def leave(self, name: str) -> None:
        """Forget a worker that ends by itself."""
        with self._database.write() as connection:
            connection.execute(sa.delete(worker).where(worker.c.name == name))

    def search(self) -> list[WorkerRow]:
        """All of them, by name; those that are gone for a day at most."""
        with self._database.read() as connection:
            now = database_now(connection)
            rows = connection.execute(sa.select(worker).order_by(worker.c.name)).all()
        found = []
        for row in rows:
            values = dict(row._mapping)
            gone = (now - row.seen).total_seconds() > values.pop("lease_s")
            if not gone or now - row.seen < KEPT:
                found.append(WorkerRow(**values, gone=gone))
        return found
