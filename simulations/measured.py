"""`telling_measured`: prints what finished twins measured when a later part of a comparison fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shared.metrics.catalogue import in_order
from shared.metrics.headline import format_value
from shared.runtime.notebook import in_notebook
from shared.tracking.rows import MODE_NAMES, RunRow
from shared.tracking.store import Store

_SHOWN = 3  # metrics of a run


@contextmanager
def telling_measured(store: Store, run_id: int) -> Iterator[None]:
    """Pass an error on, after printing the test of each finished run of a comparison."""
    try:
        yield
    except BaseException:
        done = [run for run in store.runs.children(run_id) if run.status == "completed"]
        for line in [f"measured before this: {describe_test(run)}" for run in done]:
            print(line, file=sys.stdout if in_notebook() else sys.stderr)  # the latter is red there
        if done:
            print(f"fedtwin resume {run_id} goes on from there", file=sys.stderr)
        raise


def describe_test(run: RunRow) -> str:
    """A tested run and its first metrics in one line."""
    test = run.summary.get("test") or {}
    shown = [name for name in in_order(test) if test[name] is not None][:_SHOWN]
    values = ", ".join(f"{name} {format_value(test[name])}" for name in shown)
    return f"{MODE_NAMES[run.training_mode]}, run {run.id}, seed {run.seed} (test): {values}"
