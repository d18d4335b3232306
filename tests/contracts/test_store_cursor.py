"""A reader who follows a run by its cursor, while several processes write to it and to others."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

from shared.tracking.rows import MetricRow
from shared.tracking.store import Store
from tests.contracts.store_workers import new_run, worker

# Of transactions: while a large one is under way, small ones are committed that have taken greater ids.
SIZES = (1000, 20)


class Reader(threading.Thread):
    """Reads on and on, some rows at a time."""

    def __init__(self, url: str, run_id: int) -> None:
        super().__init__()
        self.url, self.run_id = url, run_id
        self.seen: list[MetricRow] = []
        self.written = threading.Event()

    def run(self) -> None:
        with Store(self.url) as store:
            while True:
                complete = self.written.is_set()
                rows = store.metrics.of_run(self.run_id, after=self.seen[-1].id if self.seen else 0, limit=37)
                self.seen += rows
                if complete and not rows:
                    return
                time.sleep(0.005)


def test_nothing_is_skipped_and_nothing_comes_twice(store, database_url):
    readers = [Reader(database_url, new_run(store)) for _ in range(2)]
    with ExitStack() as stack:
        for reader in readers:
            reader.start()
            stack.callback(reader.join)
            stack.callback(reader.written.set)
        for reader in readers:
            for client_id, size in enumerate(SIZES):
                stack.enter_context(worker("write_sizes", database_url, reader.run_id, client_id, size))
    for reader in readers:
        ids = [row.id for row in reader.seen]
        assert ids == sorted(set(ids))
        assert reader.seen == store.metrics.of_run(reader.run_id)
        assert len(ids) == 2000 * len(SIZES)
        assert ids[-1] == store.metrics.cursor(reader.run_id)
    first, second = ({row.id for row in reader.seen} for reader in readers)
    assert first.isdisjoint(second)


def test_the_cursor_of_a_run_without_values(store):
    assert store.metrics.cursor(new_run(store)) == 0
