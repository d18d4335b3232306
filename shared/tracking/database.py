"""`Database`: opens SQLite or PostgreSQL, keeps the schema current and opens transactions."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking import migrations
from shared.tracking.engines import make_engine, parse_url

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

    Raises
    ------
    TrackingError
        The URL is neither.
    """

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.shown = self._url.set(query={}).render_as_string(hide_password=True)
        self._lock = threading.Lock()
        self._engine: sa.Engine | None = None
        self._current = False
        self._file: tuple[int, int] | None = None
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
    def write(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that is committed, to disk, when the block ends.

        Raises
        ------
        TrackingError
            The database cannot be reached or used.
        """
        with self._connect(writing=True) as connection:
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

    @contextmanager
    def _connect(self, *, writing: bool) -> Iterator[sa.Connection]:
        with self._named_errors():
            engine = self._open()
            with engine.connect().execution_options(writing=writing) as connection, connection.begin():
                yield connection

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
        if engine is not None and self._current and self._file == self.file_id():
            return engine
        with self._lock:
            self._leave_another_file()
            if self._engine is None:
                self._engine = make_engine(self._url)
            if not self._current:
                self._migrate(self._engine)
                self._current = True
                self._file = self.file_id()
            return self._engine

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
            cause = self._without_password(" ".join(str(getattr(error, "orig", error)).split()))
            raise TrackingError(
                f"cannot use the tracking database {self.shown}: {cause}; {self._advice()}"
            ) from None

    def _without_password(self, text: str) -> str:
        secrets = [self._url.password, *map(str, self._url.query.values())]
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        return text

    def _advice(self) -> str:
        if self.is_sqlite:
            return "its folder must exist and be writable, and the file must be one that fedtwin made"
        return "check that the server runs, and the host, the database, the user and the password"


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
