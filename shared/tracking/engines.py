"""SQLAlchemy engines for SQLite and PostgreSQL, with the settings that the tracking database needs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from shared.runtime.errors import TrackingError
from shared.tracking.rows import json_ready

LOCK_TIMEOUT_S = 30
# A peer that is gone is noticed within a minute, and a firewall does not forget a connection that only listens.
POSTGRESQL_OPTIONS = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,  # milliseconds: the same for what was sent to it
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def parse_url(url: str) -> URL:
    """Check the URL of a tracking database.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST:PORT/NAME``.

    Returns
    -------
    URL
        With our driver, and an absolute file.

    Raises
    ------
    TrackingError
        It is neither, or a database in memory.
    """
    expected = "expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME"
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
        backend = parsed.get_backend_name()
    except (sa.exc.ArgumentError, ValueError):
        raise TrackingError(f"the URL of the tracking database cannot be read; {expected}") from None
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise TrackingError(f"{expected} for the tracking database, got one that begins with {backend}:")
    if not parsed.database or parsed.database == ":memory:":
        raise TrackingError(f"the tracking database must be a file that processes can share; {expected}")
    return parsed.set(drivername="sqlite", database=str(Path(parsed.database).absolute()))


def make_engine(url: URL) -> sa.Engine:
    """An engine for a URL that `parse_url` returned; nothing is opened yet."""
    return _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)


def _postgresql(url: URL) -> sa.Engine:
    options = {name: value for name, value in POSTGRESQL_OPTIONS.items() if name not in url.query}
    engine = sa.create_engine(
        url, pool_pre_ping=True, hide_parameters=True, json_serializer=_to_json, connect_args=options
    )
    sa.event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")  # SQLite's way: by default it waits for ever
    connection.commit()


def _sqlite(url: URL) -> sa.Engine:
    engine = sa.create_engine(
        url, hide_parameters=True, json_serializer=_to_json, connect_args={"timeout": LOCK_TIMEOUT_S}
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver leaves BEGIN to `_begin_sqlite`
    _enter_wal_mode(connection)
    for setting in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {setting}")


def _enter_wal_mode(connection: Any) -> None:
    # Entering WAL mode does not wait for other processes that do the same, unlike everything else.
    import sqlite3

    until = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that begins as a reader and then writes fails at once if another wrote in between.
    options = connection.get_execution_options()
    writing, wait_s = options.get("writing"), options.get("lock_timeout_s") or LOCK_TIMEOUT_S
    if connection.info.get("lock_timeout_s", LOCK_TIMEOUT_S) != wait_s:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={round(1000 * wait_s)}")
        connection.info["lock_timeout_s"] = wait_s
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _to_json(value: Any) -> str:
    return json.dumps(json_ready(value), allow_nan=False)
