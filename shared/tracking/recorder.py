"""`Recorder`: writes what a run records to the database, or, while that is away, keeps it in a journal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from shared.runtime.errors import ConfigError, DatabaseAway, DiskError
from shared.runtime.waiting import duration
from shared.tracking.changes import Change, Finish, decode
from shared.tracking.database import Database
from shared.tracking.journal import Journal
from shared.tracking.run_log import logger
from shared.tracking.transaction import change_run

WAIT = "FEDTWIN_DATABASE_WAIT_S"  # seconds that a completed run waits for its database, 600 by default
LOCK_S = 2.0  # a database that is locked for longer is away
RETRY_S = 1.0
_GRACE_S = 5.0  # for a run that has failed or was stopped: who waits for it wants to know


class Recorders:
    """The recorders of the runs that this process owns; changes of other runs are written at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: dict[int, Recorder] = {}

    def write(self, run_id: int, change: Change) -> int:
        """Write a change of a run; it is on disk when this returns, in the database or in the journal.

        Returns
        -------
        int
            How many rows are new; 0 where it waits.

        Raises
        ------
        TrackingError
            There is no such run.
        DatabaseAway
            The database cannot be used, and the run has no recorder; or it cannot be used for too long.
        """
        recorder = self._open.get(run_id)
        if recorder is not None:
            return recorder.write(change)
        with change_run(self._database, run_id) as (connection, row):
            return change.apply(connection, row)

    def waits(self, run_id: int) -> bool:
        """Whether changes of a run wait for the database."""
        recorder = self._open.get(run_id)
        return recorder is not None and recorder.waiting > 0

    @contextmanager
    def record(self, run_id: int, *, started: datetime, folder: Path) -> Iterator[None]:
        """Keep what a run records while the database is away, for the duration of a block.

        Parameters
        ----------
        started : datetime
            Of the run's row: with the id it says which run of which database it is.
        folder : Path
            For the journal.
        """
        path = folder / f"run-{run_id}-{started:%Y%m%dT%H%M%S}-{os.getpid()}.jsonl"
        try:
            journal = Journal(path, head={"run": run_id, "started": started.isoformat()})
        except DiskError as error:
            raise DiskError(f"a run needs {path} for rows that wait for the database: {error}") from None
        recorder = self._open[run_id] = Recorder(self._database, run_id, journal)
        self._database.patience_s = wait_s()
        try:
            yield
        finally:
            del self._open[run_id]
            self._database.patience_s = wait_s() if self._open else 0.0
            recorder.close()


class Recorder:
    """What one run records, in order: at once, or by a thread when the database is back."""

    def __init__(self, database: Database, run_id: int, journal: Journal) -> None:
        self._database, self._run_id, self._journal = database, run_id, journal
        self._lock = threading.Lock()
        self._written = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed: Exception | None = None
        self._why = ""
        self.waiting = 0  # changes in the journal

    def write(self, change: Change) -> int:
        """See `Recorders.write`."""
        with self._lock:
            if self._failed is not None:
                raise self._failed
            if not self.waiting:
                try:
                    return self._apply([change])
                except DatabaseAway as error:
                    self._why = str(error)
            self._keep(change)
        if isinstance(change, Finish):
            self._wait(wait_s() if change.status == "completed" else _GRACE_S)
        return 0

    def close(self) -> None:
        """End the thread; the journal is removed if nothing waits in it."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        self._journal.close(remove=not self.waiting)

    def _apply(self, changes: list[Change]) -> int:
        with change_run(self._database, self._run_id, lock_timeout_s=LOCK_S) as (connection, row):
            return sum(change.apply(connection, row) for change in changes)

    def _keep(self, change: Change) -> None:
        try:
            self._journal.append(change.encode(), last=isinstance(change, Finish))
        except DiskError as error:
            raise DatabaseAway(f"{self._why}; what the run records cannot be kept either: {error}") from None
        self.waiting += 1
        if self.waiting == 1:
            self._written.clear()
            self._tell(f"{self._why}. Rows wait in {self._journal.path}; the run goes on")
            self._thread = threading.Thread(target=self._write_waiting, name="recorder", daemon=True)
            self._thread.start()

    def _write_waiting(self) -> None:
        place, done = self._journal.first, 0
        while not self._closed.wait(RETRY_S if done == 0 else 0):
            records, after = self._journal.read(place)
            try:
                self._apply([decode(record) for record in records])
            except DatabaseAway as error:
                self._why = str(error)
                done = 0
                continue
            except Exception as error:  # raised where the run is
                self._failed = error
                self._written.set()
                return
            place, done = after, done + len(records)
            with self._lock:
                if place == self._journal.end:
                    count, self.waiting = self.waiting, 0
                    self._journal.clear()
                    self._written.set()
                    self._tell(f"the tracking database is back: what waited is written ({count} changes)")
                    return

    def _wait(self, timeout_s: float) -> None:
        if timeout_s > _GRACE_S and not self._written.wait(RETRY_S + LOCK_S):
            self._tell(f"waiting up to {duration(timeout_s)} for the tracking database ({WAIT})")
        if not self._written.wait(timeout_s):
            raise DatabaseAway(
                f"{self._why}; what run {self._run_id} recorded is kept in {self._journal.path}, and the next "
                "fedtwin command in this home writes it when the database is back"
            )
        if self._failed is not None:
            raise self._failed

    def _tell(self, text: str) -> None:
        logger.warning("run %s: %s", self._run_id, text)
        with suppress(OSError, AttributeError):  # nobody need be there to read it
            print(f"run {self._run_id}: {text}", file=sys.stderr, flush=True)


def wait_s() -> float:
    """How long a completed run waits for its database, in seconds.

    Raises
    ------
    ConfigError
        The variable is no number of seconds.
    """
    given = os.environ.get(WAIT) or "600"
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise ConfigError(f"{WAIT} is a number of seconds, got {given!r}")
    return seconds
