"""`Database`: opens SQLite or PostgreSQL, keeps the schema current and opens transactions."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import DatabaseAway, TrackingError
from shared.runtime.secrets import HIDDEN, secrets_of, without_secrets
from shared.runtime.waiting import duration
from shared.tracking import migrations
from shared.tracking.engines import make_engine, parse_url
from shared.tracking.outages import named_error
from shared.tracking.read_only import read_only_engines

_RETRY_S = 0.5
_REOPEN_S = 10.0  # a file that could only be read may be writable by now
MIGRATION_LOCK = 0x66656474  # any number that other users of the same PostgreSQL server are unlikely to lock


class Database:
    """A lazily opened database; safe to use from many threads and processes, and across a fork.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST:PORT/NAME``.

    Attributes
    ----------
    shown : str
        The URL without its password.
    patience_s : float, seconds
        How long a database that is away is waited for; 0 unless this process has a run.

    Raises
    ------
    TrackingError
        The URL is neither.
    """

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self._secrets = sorted(secrets_of(url), key=len, reverse=True)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.shown = self._url.set(query={}).render_as_string(hide_password=True)
        self._lock = threading.Lock()
        self._engine: sa.Engine | None = None
        self._current = False
        self._file: tuple[int, int] | None = None
        self.patience_s = 0.0
        self._read_only: str | None = None  # why, where it can only be read
        self._reopen_at = 0.0
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        _close_before_fork(self)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection to read from.

        Raises
        ------
        TrackingError
            The database cannot be reached or used.
        """
        with self._connect(writing=False) as connection:
            yield connection

    @contextmanager
    def write(self, *, lock_timeout_s: float | None = None) -> Iterator[sa.Connection]:
        """A connection in a transaction that is committed, to disk, when the block ends.

        Parameters
        ----------
        lock_timeout_s : float, optional, seconds
            How long another process's lock on SQLite's file is waited for; half a minute by default.

        Raises
        ------
        TrackingError
            The database cannot be reached or used.
        """
        with self._connect(writing=True, lock_timeout_s=lock_timeout_s) as connection:
            yield connection

    def select(self, query: sa.Select[Any]) -> list[Any]:
        """All rows of a query.

        Raises
        ------
        TrackingError
            The database cannot be reached or used.
        """
        with self.read() as connection:
            return list(connection.execute(query))

    def connect_apart(self) -> Any:
        """Open a connection of the driver's that is not of the pool, for what lasts.

        Returns
        -------
        sqlite3.Connection or psycopg.Connection
            In no transaction. To be closed by the caller, who does not fork meanwhile.

        Raises
        ------
        TrackingError
            The database cannot be reached or used.
        """
        with self._named_errors():
            connection = self._open().connect()
            driver = connection.connection.driver_connection
            connection.detach()
            return driver

    def close(self) -> None:
        """Close all connections that are not in use; a later call opens new ones."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()
        self._leave_read_only()

    @contextmanager
    def _connect(self, *, writing: bool, lock_timeout_s: float | None = None) -> Iterator[sa.Connection]:
        options: dict[str, Any] = {"writing": writing, "lock_timeout_s": lock_timeout_s}
        with self._named_errors():
            connection, transaction = self._begin(options)
            with connection, transaction:
                yield connection

    def _begin(self, options: dict[str, Any]) -> tuple[sa.Connection, sa.RootTransaction]:
        until, told = time.monotonic() + self.patience_s, False
        while True:
            try:
                with self._named_errors():
                    engine = self._open()
                    if options["writing"] and self._read_only:
                        raise DatabaseAway(self._read_only)
                    connection = engine.connect().execution_options(**options)
                    try:
                        return connection, connection.begin()
                    except BaseException:
                        connection.close()
                        raise
            except DatabaseAway as error:
                if options["lock_timeout_s"] is not None or time.monotonic() >= until:
                    raise
                if not told:
                    told = True
                    print(f"{error}; waiting up to {duration(self.patience_s)}", file=sys.stderr, flush=True)
                time.sleep(_RETRY_S)

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written; None where it can, or where nothing was read yet."""
        return self._read_only

    @property
    def path(self) -> Path | None:
        """The file of SQLite; None for PostgreSQL."""
        return Path(str(self._url.database)) if self.is_sqlite else None

    def file_id(self) -> tuple[int, int] | None:
        """Which file the database is in now.

        Returns
        -------
        tuple of int, or None
            Device and inode; None if there is no such file, and for PostgreSQL.
        """
        if not self.is_sqlite:
            return None
        try:
            status = Path(str(self._url.database)).stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _open(self) -> sa.Engine:
        engine = self._engine
        again = self._read_only is not None and time.monotonic() > self._reopen_at
        if engine is not None and self._current and self._file == self.file_id() and not again:
            return engine
        with self._lock:
            self._leave_another_file()
            if again and self._read_only is not None:
                engine, self._engine = self._engine, None
                if engine is not None:
                    engine.dispose()
                self._leave_read_only()
            if self._engine is None:
                self._engine = make_engine(self._url)
            if not self._current:
                try:
                    with self._named_errors():
                        self._migrate(self._engine)
                except DatabaseAway as error:
                    self._engine.dispose()
                    self._engine = self._open_read_only(error)
                self._current = True
                self._file = self.file_id()
            return self._engine

    def _open_read_only(self, why: DatabaseAway) -> sa.Engine:
        """What shows a file that cannot be opened to write; raises why if nothing does."""
        path = Path(str(self._url.database))
        self._engine = None
        if not self.is_sqlite or "locked" in str(why) or self.file_id() is None:
            raise why
        for engine in read_only_engines(path, copy=self._copy_folder):
            try:
                with engine.connect() as connection, connection.begin():
                    found = migrations.revision(connection)
            except sa.exc.DBAPIError:
                engine.dispose()
                continue
            if found == migrations.HEAD:
                self._read_only = str(why) if os.access(path.parent, os.W_OK) else self._not_to_be_written()
                self._reopen_at = time.monotonic() + _REOPEN_S
                return engine
            engine.dispose()
            self._leave_read_only()
            if found is None:
                raise why  # nothing is in it yet: it cannot be begun, as on a full disk
            raise TrackingError(
                f"the tracking database {self.shown} has schema {found!r}, and can only be read: it "
                f"cannot be brought to {migrations.HEAD!r}; copy the home to a folder that can be written to"
            )
        self._leave_read_only()
        raise why

    def _not_to_be_written(self) -> str:
        return (
            f"the tracking database {self.shown} can only be read: its disk is read-only, or its folder "
            "belongs to another user; set FEDTWIN_HOME to a folder that can be written to"
        )

    def _copy_folder(self) -> Path:
        self._copy = tempfile.TemporaryDirectory(prefix="fedtwin-database-")
        return Path(self._copy.name)

    def _leave_read_only(self) -> None:
        copy, self._copy = self._copy, None
        if copy is not None:
            copy.cleanup()
        if self._read_only is not None:
            self._read_only, self._current = None, False

    def _leave_another_file(self) -> None:
        # Open connections would keep using a file that nobody else can see, and new ones would create another.
        found = self.file_id()
        if self._file is None or found == self._file:
            return
        self.close()
        self._current = False
        if found is None:
            raise TrackingError(
                f"the tracking database {self.shown} is gone: its file was removed or moved while it was in "
                f"use; put it back, or start again"
            )

    def _migrate(self, engine: sa.Engine) -> None:
        with engine.connect() as connection, connection.begin():
            if migrations.revision(connection) == migrations.HEAD:
                return
        # One process migrates, the others wait here and find the work done.
        with engine.connect().execution_options(writing=True) as connection, connection.begin():
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            found = migrations.revision(connection)
            if found not in (None, *migrations.KNOWN):
                raise TrackingError(
                    f"the tracking database {self.shown} has schema {found!r}, which this fedtwin "
                    f"(schema {migrations.HEAD!r}) does not know; update fedtwin, or use another database"
                )
            if found != migrations.HEAD:
                migrations.upgrade(connection)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.IntegrityError, sa.exc.DataError):
            raise  # a row that breaks the schema is our own bug
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:  # the latter: all connections are in use
            raise named_error(error, shown=self.shown, hide=self._without_password) from None

    def _without_password(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return str(without_secrets(text))


def database_now(connection: sa.Connection) -> datetime:
    """The time by which leases are measured: the database's, for all machines; of SQLite, this machine's."""
    if connection.dialect.name == "postgresql":
        found: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return found.astimezone(UTC)
    return datetime.now(UTC)


def _close_before_fork(database: Database) -> None:
    # A child must not even close what it inherits: SQLite's locks belong to the process that took them, and
    # PostgreSQL would take the child's goodbye for the parent's.
    reference = weakref.ref(database)

    def close() -> None:
        alive = reference()
        if alive is not None:
            alive.close()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=close)
