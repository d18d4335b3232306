"""`ask_to_stop`: keeps in a sweep's run that it shall stop, for the process that leads it, on any machine."""

from __future__ import annotations

from shared.runtime.errors import TrackingError
from shared.tracking.rows import RunRow
from shared.tracking.runs import Runs

STOP = "stop"  # in the summary of a sweep's run: whether somebody asked that it stops


class NotStoppable(TrackingError):
    """A run that nobody can be asked to stop."""


def ask_to_stop(runs: Runs, run_id: int) -> RunRow:
    """Ask that a sweep stops; its process sees it within seconds.

    Raises
    ------
    TrackingError
        There is no such run.
    NotStoppable
        It is no sweep, or does not run. Of other runs no process looks for such a request, and a signal would
        reach whatever program trains there, such as a notebook.
    """
    run = runs.get(run_id)
    if run.training_mode != "sweep":
        raise NotStoppable(
            f"run {run_id} is no sweep; stop it by Ctrl-C in its terminal, a job by fedtwin jobs cancel"
        )
    if run.status != "running":
        raise NotStoppable(f"sweep {run_id} does not run: it is {run.status}")
    runs.update(run_id, summary={STOP: True})
    return run
