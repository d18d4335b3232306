"""`Follower`: sends what is new of all runs to a tracker, in its own time, each row once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from service.integrations.details import read_details
from service.integrations.tracker import State, Tracker, TrackerAway, TrackerRefused
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.follows import Due
from shared.tracking.store import Store

ROWS_AT_ONCE = 900
PAUSE_S = 2.0  # between two looks; changes in between are sent together
RECHECK_S = 30.0  # for changes that are not announced
_LONGEST_RETRY_S = 60.0


class Follower:
    """Follows all runs of a database for one tracker; the database keeps how far it has come.

    Parameters
    ----------
    say : callable
        Takes a line about what it does.
    after : int
        Only runs with a greater id.
    """

    def __init__(
        self, store: Store, tracker: Tracker, *, home: Home, say: Callable[[str], None], after: int = 0
    ) -> None:
        self._store, self._tracker, self._home, self._say, self._after = store, tracker, home, say, after
        self._refused: dict[int, str] = {}

    def follow(self, stop: threading.Event, *, pause_s: float = PAUSE_S) -> None:
        """Send what is new, whenever something is, until `stop` is set; waits for what is away.

        Raises
        ------
        TrackingError
            Another process follows for the same target.
        """
        changes = self._store.changes(poll_s=0.25)
        retry_s = 0.0
        try:
            with self._store.follows.alone(self._tracker.target):
                while not stop.is_set():
                    try:
                        self.catch_up(stop)
                    except (TrackerAway, TrackingError) as error:
                        if not retry_s:
                            self._say(f"{error}; what is missed is sent later")
                        retry_s = min(_LONGEST_RETRY_S, max(1.0, 2 * retry_s))
                        stop.wait(retry_s)
                        continue
                    if retry_s:
                        self._say(f"{self._tracker.target}: sending again")
                        retry_s = 0.0
                    until = time.monotonic() + RECHECK_S
                    while not stop.wait(pause_s) and time.monotonic() < until:
                        if changes.wait(0.5) != frozenset():
                            break
        finally:
            changes.close()

    def catch_up(self, stop: threading.Event | None = None) -> list[str]:
        """Send all that there is.

        Returns
        -------
        list of str
            What the tracker refused, one sentence a run.

        Raises
        ------
        TrackerAway
        TrackingError
            The database cannot be used.
        """
        refused: dict[int, str] = {}
        for due in self._store.follows.due(self._tracker.target, after=self._after):
            if stop is not None and stop.is_set():
                break
            try:
                self._send(due, stop)
            except TrackerRefused as error:
                refused[due.run_id] = text = f"run {due.run_id}: {error}"
                if self._refused.get(due.run_id) != text:
                    self._say(text)
        self._refused = refused
        return list(refused.values())

    def _send(self, due: Due, stop: threading.Event | None) -> None:
        store, follows, target = self._store, self._store.follows, self._tracker.target
        # Read the run first: if it has ended, all its rows are stored.
        run = store.runs.find(due.run_id)
        if run is None:
            return  # it was deleted
        row = follows.find(target, run.id) or follows.begin(target, run.id)
        state, cursor, told = row.state, row.cursor, row.told
        if not state:
            parent = None if run.parent_id is None else follows.find(target, run.parent_id)
            details = read_details(store, run, home=self._home)
            above: State | None = parent.state if parent is not None and parent.state else None
            state = dict(self._tracker.begin(details, key=row.key, parent=above))
            follows.save(target, run.id, cursor=cursor, state=state, told="")
        while rows := store.metrics.of_run(run.id, after=cursor, limit=ROWS_AT_ONCE):
            state = dict(self._tracker.add(rows, run=run, state=state))
            cursor = rows[-1].id
            follows.save(target, run.id, cursor=cursor, state=state, told=told)
            if stop is not None and stop.is_set():
                return
        if told != due.told:
            details = read_details(store, run, home=self._home)
            state = dict(self._tracker.update(details, state=state))
            follows.save(target, run.id, cursor=cursor, state=state, told=due.told)
