"""`Address`: the database that ``data.url`` names, and engines that can only read it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from shared.config.table_data import ENVIRONMENT
from shared.runtime.errors import DataError
from shared.runtime.secrets import HIDDEN, secrets_of, without_secrets

_WAIT_S = 30  # for another's lock
# A server that does not answer, or no longer, is noticed within half a minute.
_POSTGRESQL = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 10,
    "keepalives_interval": 10,
    "keepalives_count": 2,
}
_EXPECTED = "expected a URL such as sqlite:///FILE or postgresql://USER@HOST:PORT/NAME"


@dataclass(frozen=True)
class Address:
    """A database that is read.

    Attributes
    ----------
    url : URL
        With its password.
    shown : str
        Without it.
    """

    url: URL
    shown: str
    _secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def dialect(self) -> str:
        """Such as ``postgresql``."""
        return self.url.get_backend_name()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection in one transaction that sees one state of the database, and is rolled back.

        PostgreSQL is asked for a transaction that is READ ONLY and REPEATABLE READ, SQLite's file is opened
        with ``mode=ro``: neither lets a query write.

        Raises
        ------
        DataError
            The database is away, or refuses what is asked.
        """
        engine = self._engine()
        try:
            with engine.connect() as connection:
                options = {"stream_results": True, "no_parameters": True}
                if self.dialect == "postgresql":
                    connection = connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_WAIT_S}s'")
                yield connection.execution_options(**options)
        except sa.exc.DBAPIError as error:
            raise DataError(self._explain(error)) from None
        except UnicodeDecodeError as error:  # of SQLite, which stores any bytes as text
            raise DataError(f"{self.shown}: a text is not UTF-8: {error}") from None
        finally:
            engine.dispose()

    def _engine(self) -> sa.Engine:
        if self.dialect == "sqlite":
            return sa.create_engine("sqlite://", creator=self._sqlite, poolclass=sa.NullPool)
        more = _POSTGRESQL if self.dialect == "postgresql" else {}
        options = {name: value for name, value in more.items() if name not in self.url.query}
        try:
            return sa.create_engine(self.url, connect_args=options, poolclass=sa.NullPool, hide_parameters=True)
        except sa.exc.NoSuchModuleError:
            raise DataError(f"SQLAlchemy knows no database {self.url.drivername!r}; {_EXPECTED}") from None
        except ImportError as error:
            raise DataError(
                f"{self.shown} needs the Python package {error.name!r}; install it, or name the driver that is "
                "installed in the URL, as in postgresql+psycopg://"
            ) from None

    def _sqlite(self) -> sqlite3.Connection:
        path = Path(self.url.database or "").expanduser().absolute()
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_WAIT_S)
        connection.execute("PRAGMA query_only=ON")
        connection.set_authorizer(_only_this_file)
        return connection

    def without_secrets(self, text: str) -> str:
        """A text without the password of this database, however it is written."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return str(without_secrets(text))

    def _explain(self, error: sa.exc.DBAPIError) -> str:
        cause = self.without_secrets(" ".join(str(error.orig).split()))
        code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None) or ""
        if code == "25006" or code.startswith(("SQLITE_READONLY", "SQLITE_AUTH")):
            return f"{self.shown} is only read, and the query would change it ({cause}); select rows"
        if code.startswith(("42", "22", "SQLITE_ERROR")):
            return f"{self.shown} refuses the query: {cause}"
        if code.startswith(("55P03", "SQLITE_BUSY", "SQLITE_LOCKED")):
            return f"{self.shown} is locked by another session for {_WAIT_S} s ({cause}); try again later"
        if code.startswith("SQLITE_NOTADB"):
            return f"{self.shown} is no SQLite database ({cause})"
        advice = "check that it runs, and the host, the database, the user and the password"
        if self.dialect == "sqlite":
            advice = "check the file, and that this account may read it and its folder"
        return f"{self.shown} cannot be read: {cause}; {advice}"


def address_of(url: str) -> Address:
    """The database that ``data.url`` names.

    Parameters
    ----------
    url : str
        A URL of SQLAlchemy's, or ``env:NAME``: the URL that the environment variable holds.

    Raises
    ------
    DataError
        The variable is not set, the URL cannot be read, or there is no such file of SQLite's.
    """
    where = "data.url"
    if url.startswith(ENVIRONMENT):
        name = url.removeprefix(ENVIRONMENT)
        where, url = f"the environment variable {name} (data.url)", os.environ.get(name, "")
        if not url:
            raise DataError(
                f"{where} is not set; set it to the URL of the database, such as "
                "postgresql://USER:PASSWORD@HOST:PORT/NAME"
            )
    try:
        found = make_url(url.replace("postgres://", "postgresql://", 1))
        shown = found.set(query={}).render_as_string(hide_password=True)
        if found.drivername == "postgresql":
            found = found.set(drivername="postgresql+psycopg")
    except (sa.exc.ArgumentError, ValueError):
        raise DataError(f"{where} cannot be read as the URL of a database; {_EXPECTED}") from None
    if found.get_backend_name() == "sqlite":
        if not found.database or found.database == ":memory:":
            raise DataError(f"{where} names no file of SQLite; expected sqlite:///FILE")
        path = Path(found.database).expanduser().absolute()
        if not path.is_file():
            raise DataError(f"{where}: there is no file {path}")
    return Address(found, str(without_secrets(shown)), tuple(sorted(secrets_of(url), key=len, reverse=True)))


def _only_this_file(action: int, *_: str | None) -> int:
    """Whether SQLite may do this: all but open further files, which it would create where there are none."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
