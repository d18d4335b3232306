"""`ChangeReader`: a thread that detects database changes by any process and lets sources read what is new."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from shared.runtime.errors import TrackingError
from shared.tracking.change_feed import Changes

RETRY_S = 1.0

_log = logging.getLogger("fedtwin")


class Source(Protocol):
    """Reads what is new of one run, or of all runs; `ChangeReader` calls it in its thread."""

    @property
    def run_id(self) -> int | None:
        """The run; None for all runs."""
        ...

    @property
    def pause_s(self) -> float:
        """Shortest time between two reads in seconds; changes in between are read together."""
        ...

    def read(self) -> bool:
        """Read and pass on what is new; return whether there may be more."""
        ...

    def set_reachable(self, reachable: bool) -> None:
        """Called when the database can no longer be read, and when it can again."""
        ...


class ChangeReader:
    """Calls the sources' `read` when the database has changed; idle while there are none.

    Parameters
    ----------
    changes : Changes
        Used and closed by the thread.
    poll_s : float, seconds
        How often new sources are noticed.
    recheck_s : float, seconds
        How often everything is read without a change signal, for writers of an older version without signals.
    """

    def __init__(self, changes: Changes, *, poll_s: float, recheck_s: float) -> None:
        self._changes, self._poll_s, self._recheck_s = changes, poll_s, recheck_s
        self._lock = threading.Lock()
        self._not_before: dict[Source, float] = {}
        self._pending: set[Source] = set()
        self._failing: set[Source] = set()
        self._wake = threading.Event()  # a source was added, or `close` was called
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="fedtwin-changes", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and wait for it."""
        with self._lock:
            self._closing = True
            self._wake.set()
        self._thread.join()

    def add(self, source: Source) -> None:
        """Add a source; it is read immediately for the first time."""
        with self._lock:
            self._not_before[source] = 0.0
            self._pending.add(source)
            self._wake.set()

    def remove(self, source: Source) -> None:
        """Remove a source."""
        with self._lock:
            self._not_before.pop(source, None)
            self._pending.discard(source)
            self._failing.discard(source)
            if not self._not_before and not self._closing:
                self._wake.clear()

    def _run(self) -> None:
        recheck_at = 0.0
        while not self._closing:
            if not self._wake.is_set():
                # PostgreSQL queues notifications that a listener does not fetch.
                self._changes.close()
                self._wake.wait()
                continue
            changed = self._changes.wait(self._poll_s)
            if time.monotonic() >= recheck_at:
                changed, recheck_at = None, time.monotonic() + self._recheck_s
            for source in self._due(changed):
                self._read(source)
        self._changes.close()

    def _due(self, changed: frozenset[int] | None) -> list[Source]:
        now = time.monotonic()
        with self._lock:
            for source in self._not_before:
                if changed is None or source.run_id in changed or (changed and source.run_id is None):
                    self._pending.add(source)
            due = [source for source in self._pending if self._not_before[source] <= now]
            self._pending.difference_update(due)
        return due

    def _read(self, source: Source) -> None:
        try:
            more, wait_s = source.read(), source.pause_s
        except Exception as error:  # one source's error must not stop the others
            more, wait_s = True, RETRY_S
            self._note(source, error)
        else:
            self._note(source, None)
        with self._lock:
            if source in self._not_before:
                self._not_before[source] = time.monotonic() + wait_s
                if more:
                    self._pending.add(source)

    def _note(self, source: Source, error: Exception | None) -> None:
        """Notify a source when its state changes; log the first failure and the last recovery."""
        failed = error is not None
        with self._lock:
            if source not in self._not_before or failed == (source in self._failing):
                return
            alone = not self._failing - {source}
            (self._failing.add if failed else self._failing.discard)(source)
        if alone and failed:
            unexpected = None if isinstance(error, TrackingError) else error
            _log.warning("live stream interrupted: %s", error, exc_info=unexpected)
        elif alone:
            _log.warning("live stream resumed")
        source.set_reachable(not failed)
