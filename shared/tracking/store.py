"""`Store`: the tracking database of a project, with one repository for each kind of row."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Literal

from shared.tracking import migrations
from shared.tracking.audit import Audit
from shared.tracking.change_feed import Changes
from shared.tracking.clients import Clients
from shared.tracking.database import Database
from shared.tracking.datasets import Datasets
from shared.tracking.evaluations import Evaluations
from shared.tracking.follows import Follows
from shared.tracking.job_queue import JobQueue
from shared.tracking.jobs import Jobs
from shared.tracking.metrics import Metrics
from shared.tracking.models import Models
from shared.tracking.recorder import Recorders
from shared.tracking.rounds import Rounds
from shared.tracking.runs import Runs
from shared.tracking.schedules import Schedules
from shared.tracking.series import Series
from shared.tracking.tenants import EVERYONE, Scope, Tenant, Tenants
from shared.tracking.tokens import Tokens
from shared.tracking.trials import Trials
from shared.tracking.webhooks import Outbox, Webhooks
from shared.tracking.workers import Workers


class Store:
    """Runs, their metrics, rounds, evaluations and clients, training jobs, models and datasets, in
    SQLite or PostgreSQL.

    Of all tenants: for who owns the database, and for workers; `of` gives what one tenant sees. Opened at its
    first use, when the schema is brought up to date. When a method that writes returns, its rows are on disk.
    May be shared by threads; connections are closed before a fork: no child inherits one.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST:PORT/NAME``.

    Attributes
    ----------
    series : Series
        Metrics as plain values, for charts.
    queue : JobQueue
        The jobs as workers see them.
    follows : Follows
        What external trackers were sent.
    outbox : Outbox
        Messages of webhooks that are to be sent.

    Raises
    ------
    TrackingError
        The URL cannot be used; from every method, the database cannot be used. Passwords are not in its text.
    """

    def __init__(self, url: str) -> None:
        database = Database(url)
        self._bind(database, Recorders(database), EVERYONE)

    def _bind(self, database: Database, recorders: Recorders, scope: Scope) -> None:
        self._database, self._recorders = database, recorders
        self.runs = Runs(self._database, self._recorders, scope)
        self.metrics = Metrics(self._database, self._recorders)
        self.series = Series(self._database)
        self.rounds = Rounds(self._database, self._recorders)
        self.clients = Clients(self._database, self._recorders)
        self.evaluations = Evaluations(self._database, self._recorders)
        self.jobs = Jobs(self._database, scope)
        self.queue = JobQueue(self._database)
        self.schedules = Schedules(self._database, scope)
        self.workers = Workers(self._database)
        self.trials = Trials(self._database)
        self.models = Models(self._database, scope)
        self.datasets = Datasets(self._database, scope)
        self.follows = Follows(self._database)
        self.tenants = Tenants(self._database)
        self.tokens = Tokens(self._database, scope)
        self.audit = Audit(self._database, scope)
        self.webhooks = Webhooks(self._database, scope)
        self.outbox = Outbox(self._database)

    def __repr__(self) -> str:
        return f"Store({self._database.shown!r})"

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def kind(self) -> Literal["sqlite", "postgresql"]:
        """Which database it is."""
        return "sqlite" if self._database.is_sqlite else "postgresql"

    @property
    def schema(self) -> str:
        """The version of the schema, which every use brings up to date."""
        return migrations.HEAD

    @property
    def database(self) -> Database:
        """The database itself, for what is about all of it."""
        return self._database

    def changes(self, *, poll_s: float = 0.1) -> Changes:
        """What notices that any process has written to this database.

        Parameters
        ----------
        poll_s : float, seconds
            How often SQLite is polled; PostgreSQL notifies.

        Returns
        -------
        Changes
            To be closed by the caller.
        """
        return Changes(self._database, poll_s=poll_s)

    def record(self, run_id: int, *, journals: Path) -> AbstractContextManager[None]:
        """Keep what a run of this process records while the database is away, for the duration of a block.

        Parameters
        ----------
        journals : Path
            The folder for its journal, see `shared.tracking.recorder`.
        """
        return self._recorders.record(run_id, started=self.runs.get(run_id).started, folder=journals)

    def of(self, tenant: Tenant) -> TenantStore:
        """The same database as one tenant sees it."""
        return TenantStore(self, tenant)

    def waits(self, run_id: int) -> bool:
        """Whether what a run of this process recorded waits for the database."""
        return self._recorders.waits(run_id)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._database.close()


class TenantStore(Store):
    """What one tenant sees: runs, models, datasets, jobs and schedules of other tenants are not there.

    Rows of a run (metrics, rounds, ...) are read by the number of a run: take it from `runs`.

    Attributes
    ----------
    tenant : Tenant
    """

    def __init__(self, store: Store, tenant: Tenant) -> None:
        self.tenant = tenant
        self._bind(store._database, store._recorders, tenant)
        self.runs.share_unwritten(store.runs)
