"""The process of one further device of a multi-device training; writes nothing to the store."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from centralized.devices import READY, LocalProcesses
from centralized.fit import StartingModel, Subset, fit, load
from shared.config.config import validate
from shared.metrics.point import MetricPoint
from shared.runtime.errors import FedtwinError
from shared.runtime.home import open_home
from shared.tasks.selection import Choice, Monitor


class NoSink:
    """A metric sink that drops all points: process 0 records them."""

    def add(self, points: Sequence[MetricPoint]) -> None:
        """Drop points."""


def main() -> None:
    """Fit as ordered on standard input; exit when process 0 closes it."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_exit_with_process_0, daemon=True).start()
    cfg = validate(order["config"])
    home = open_home(cfg.tracking)
    subset = None
    if rows := order["subset"]:
        indices, begun = np.array(rows["indices"], dtype=np.int64), order["begin_with"]
        begin_with = StartingModel(**begun) if begun else None
        subset = Subset(partition_id=rows["partition_id"], indices=indices, begin_with=begin_with)
    monitor, measured, _ = order["monitor"]
    try:
        work = load(cfg, home=home, subset=subset, tell=False)
        print(READY, end="", flush=True)
        sys.stdout = sys.stderr
        fit(
            cfg,
            work=work,
            choice=Choice(Monitor(*monitor), measured),
            subset=subset,
            sink=NoSink(),
            folder=Path(order["folder"]),
            environment=LocalProcesses(rank=order["rank"], port=order["port"]),
        )
    except FedtwinError:
        sys.exit(2)  # process 0 reports the same error


def _exit_with_process_0() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
