"""Jobs of a store for tests: submitted, and claimed as a worker does it."""

from __future__ import annotations

from typing import Any

from shared.tracking.fence import Fence
from shared.tracking.job_rows import JobRow
from shared.tracking.jobs import NewJob
from shared.tracking.store import Store
from shared.tracking.trials import NewTrial


def submit(store: Store, **changes: Any) -> int:
    return store.jobs.submit(NewJob(**{"mode": "centralized", "name": "one", "config": {}, **changes})).id


def claimed(store: Store) -> JobRow:
    row = store.queue.claim("here 1")
    assert row is not None
    return row


def fence(row: JobRow) -> Fence:
    return Fence(row.id, row.attempt)


def begun_sweep(store: Store, fence: Fence) -> int:
    """A sweep of four trials, one a seed, as the attempt of a job begins it."""
    trials = [NewTrial([], seed, {"name": "x", "description": ""}, str(seed)) for seed in (1, 2, 3, 4)]
    values = {"name": "one", "description": "", "config": {}, "summary": {"sweep": {"trials": 4}}}
    return store.queue.begin_sweep(fence, trials, **values)
