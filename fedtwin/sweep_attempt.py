"""`train_sweep`: one attempt of a job that is a sweep: plans its trials once, and trains those left."""

from __future__ import annotations

from functools import partial

from shared.runtime.errors import TrialsFailed
from shared.runtime.home import Home
from shared.sweeps.axis import SECTION
from shared.sweeps.plan import read_plan
from shared.tracking.fence import Fence
from shared.tracking.job_rows import JobRow
from shared.tracking.store import Store
from simulations.sweeps.stopping import is_asked
from simulations.sweeps.sweep import plan_sweep, resume_sweep


def train_sweep(
    job: JobRow, sweep_id: int | None, *, fence: Fence, store: Store, home: Home, workers: int | None
) -> None:
    """Train the trials of a job's sweep that are not completed.

    Parameters
    ----------
    sweep_id : int, optional
        Of earlier attempts; it has ended.
    workers : int, optional
        Trials at once; as many as this machine allows by default.

    Raises
    ------
    TrialsFailed
        When all have ended; another attempt trains those that failed.
    FedtwinError
    KeyboardInterrupt
        SIGTERM; trials that have ended are kept, those under way stop and can be resumed.
    """
    if sweep_id is None:
        begin = partial(store.queue.begin_sweep, fence)
        plan = read_plan(job.config[SECTION])
        sweep_id = plan_sweep(plan, store=store, home=home, name=job.name, workers=workers, begin=begin)
    try:
        resume_sweep(sweep_id, store=store, home=home, workers=workers)
    except KeyboardInterrupt:
        if is_asked(store, sweep_id):  # by `fedtwin stop`: no other attempt is to go on with it
            store.jobs.cancel(job.id)
        raise
    ended = store.runs.get(sweep_id)
    if ended.status == "failed":
        raise TrialsFailed(ended.error)
