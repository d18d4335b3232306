"""Announces what was written to the tracking database, and `Changes`, which blocks until something was."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.database import Database

CHANNEL = "fedtwin"  # of PostgreSQL's NOTIFY
FALLBACK_POLL_S = 1.0


def announce(connection: sa.Connection, run_id: int) -> None:
    """Notify processes that wait for changes, when the transaction is committed; there may be none."""
    if connection.dialect.name == "postgresql":  # SQLite is polled
        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, str(run_id))))


class Changes:
    """Notices what any process commits, by a connection of its own: SQLite is polled, PostgreSQL notifies.

    To be used by one thread. A database that cannot be reached, or cannot notify, counts as changed once a
    second: the reader then finds out.

    Parameters
    ----------
    poll_s : float, seconds
        How often SQLite is polled.
    """

    def __init__(self, database: Database, *, poll_s: float) -> None:
        self._database, self._poll_s = database, poll_s
        self._driver: Any = None  # the driver's connection
        self._version = 0
        self._file: tuple[int, int] | None = None
        self._retry_at = 0.0

    def wait(self, timeout_s: float) -> frozenset[int] | None:
        """Block until something was committed after the last call.

        Parameters
        ----------
        timeout_s : float, seconds

        Returns
        -------
        frozenset of int or None
            The runs that changed; none of them when the time is over. None: any run may have changed, as at the
            first call.
        """
        if self._driver is None:
            return self._connect(timeout_s)
        try:
            return self._poll(timeout_s) if self._database.is_sqlite else self._listen(timeout_s)
        except self._driver.Error:
            self._disconnect()
            return None

    def close(self) -> None:
        """Close the connection; a later call of `wait` opens another one."""
        self._disconnect()
        self._retry_at = 0.0

    def _disconnect(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()

    def _connect(self, timeout_s: float) -> frozenset[int] | None:
        wait_s = self._retry_at - time.monotonic()
        if wait_s > 0:
            time.sleep(min(wait_s, timeout_s))
            if wait_s > timeout_s:
                return frozenset()
        self._retry_at = time.monotonic() + FALLBACK_POLL_S
        try:
            self._driver = self._database.connect_apart()
        except TrackingError:
            return None
        try:
            if self._database.is_sqlite:
                self._file, self._version = self._database.file_id(), self._data_version()
            else:
                self._driver.autocommit = True
                self._driver.execute(f"LISTEN {CHANNEL}")
        except self._driver.Error:
            self._disconnect()
        return None

    def _poll(self, timeout_s: float) -> frozenset[int] | None:
        until = time.monotonic() + timeout_s
        while (version := self._data_version()) == self._version:
            left_s = until - time.monotonic()
            if left_s <= 0:
                return frozenset()
            time.sleep(min(self._poll_s, left_s))
            if self._database.file_id() != self._file:
                self._disconnect()
                return None
        self._version = version
        return None

    def _data_version(self) -> int:
        # Changes with every commit of another connection; a read of shared memory, some microseconds.
        (version,) = self._driver.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _listen(self, timeout_s: float) -> frozenset[int] | None:
        sent = {notice.payload for notice in self._driver.notifies(timeout=timeout_s, stop_after=1)}
        # Others may use the same channel in their own way.
        return frozenset(map(int, sent)) if all(text.isdecimal() for text in sent) else None
