"""`request_stop`: asks the process that leads a sweep, on whatever machine, to stop it."""

from __future__ import annotations

import time

from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.rows import RunRow
from shared.tracking.stop_requests import STOP, ask_to_stop
from shared.tracking.store import Store

_LOOK_S = 0.2


def request_stop(sweep_id: int, *, store: Store, home: Home, timeout_s: float = 120.0) -> RunRow:
    """Stop a sweep, and wait until it has: trials that have ended are kept, those under way can go on later.

    Parameters
    ----------
    timeout_s : float, seconds
        How long it is waited for.

    Returns
    -------
    RunRow
        Its run, which has ended.

    Raises
    ------
    TrackingError
        There is no such run, it is no sweep, it does not run, or whoever leads it does not answer.
    """
    ask_to_stop(store.runs, sweep_id)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        store.runs.settle(home.journals)  # its process may die meanwhile
        run = store.runs.get(sweep_id)
        if run.finished:
            return run
        time.sleep(_LOOK_S)
    raise TrackingError(
        f"sweep {sweep_id} has not stopped within {timeout_s:.0f} s, but was asked to "
        f"(process {run.pid} on {run.host})"
    )


def is_asked(store: Store, sweep_id: int) -> bool:
    """Whether somebody asked that the sweep stops."""
    return bool(store.runs.get(sweep_id).summary.get(STOP))


def forget(store: Store, sweep_id: int) -> None:
    """A sweep that begins again was asked nothing."""
    store.runs.update(sweep_id, summary={STOP: False})
