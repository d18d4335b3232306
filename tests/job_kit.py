"""Jobs of a store for tests: submitted, and claimed as a worker does it."""

from __future__ import annotations

from typing import Any

from shared.tracking.fence import Fence
from shared.tracking.job_rows import JobRow
from shared.tracking.jobs import NewJob
from shared.tracking.store import Store


def submit(store: Store, **changes: Any) -> int:
    return store.jobs.submit(NewJob(**{"mode": "centralized", "name": "one", "config": {}, **changes})).id


def claimed(store: Store) -> JobRow:
    row = store.queue.claim("here 1")
    assert row is not None
    return row


def fence(row: JobRow) -> Fence:
    return Fence(row.id, row.attempt)
