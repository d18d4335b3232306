"""The writer of the load test: adds rows to a run at a steady rate, like a training process."""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime

import numpy as np

from shared.metrics.point import MetricPoint
from shared.tracking.store import Store

NAMES = ("loss", "accuracy", "f1", "auroc")


def main() -> None:
    """Write, and print what it took as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--run", type=int, required=True)
    parser.add_argument("--updates", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True, help="of an update")
    parser.add_argument("--rate", type=float, required=True, help="updates a second")
    options = parser.parse_args()
    took = []
    with Store(options.database) as store:
        store.runs.claim(options.run)
        begin = time.monotonic()
        for update in range(options.updates):
            time.sleep(max(0.0, begin + update / options.rate - time.monotonic()))
            before = time.perf_counter()
            store.metrics.add(options.run, points(update + 1, count=options.rows))
            took.append(time.perf_counter() - before)
        seconds = time.monotonic() - begin
        store.runs.finish(options.run, "completed")
    p50, p99 = 1000 * np.percentile(took, (50, 99))
    print(json.dumps({"seconds": seconds, "commit_ms": {"p50": p50, "p99": p99}}))


def points(round_: int, *, count: int) -> list[MetricPoint]:
    """Four metrics of each of some clients, all with the time at which their transaction begins."""
    now, values = datetime.now(UTC), np.random.default_rng(round_).random(count)
    return [
        MetricPoint(
            "val",
            NAMES[place % len(NAMES)],
            float(values[place]),
            round=round_,
            client_id=place // len(NAMES),
            num_examples=100,
            time=now,
        )
        for place in range(count)
    ]


if __name__ == "__main__":
    main()
