"""`estimate`: how long a plan will take, by completed runs of the same model, data and length."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from shared.runtime.counts import count_of
from shared.runtime.waiting import duration
from shared.sweeps.plan import Mode
from shared.tracking.store import Store
from shared.tracking.trials import NewTrial

_MOST = 200  # runs that are looked at, newest first
_LENGTH = {
    "centralized": (("trainer", "max_epochs"),),
    "federated": (("federation", "num_rounds"), ("federation", "local_epochs"), ("federation", "num_clients")),
}


def estimate(trials: Sequence[NewTrial], *, mode: Mode, store: Store, count: int, workers: int) -> str:
    """A line for people.

    Parameters
    ----------
    trials : sequence of NewTrial
        Or some of them.
    count : int
        How many will be trained.
    workers : int
        How many at once.
    """
    runs = store.runs.search(mode=mode, status="completed", limit=_MOST)
    known: dict[Any, list[float]] = {}
    for run in runs:
        if run.seconds and not run.summary.get("of_runs"):
            known.setdefault(_kind(run.config, mode), []).append(run.seconds)
    found = [known[kind] for trial in trials if (kind := _kind(trial.config, mode)) in known]
    if not found:
        return "no earlier run of this model, data and length tells how long it takes: the board does, later"
    each = statistics.fmean(statistics.median(seconds) for seconds in found)
    of = count_of(len({id(seconds) for seconds in found}), "kind")
    total = each * count / max(1, min(workers, count))
    return (
        f"about {duration(total)} ({count_of(count, 'trial')} of {duration(each)}, {workers} at once; by "
        f"earlier runs of {of} of trials)"
    )


def _kind(config: Mapping[str, Any], mode: Mode) -> tuple[Any, ...]:
    names = _LENGTH.get(mode, _LENGTH["federated"])
    length = tuple((config.get(section) or {}).get(name) for section, name in names)
    data, model = config.get("data") or {}, config.get("model") or {}
    return (data.get("name"), data.get("path"), data.get("image_size"), repr(sorted(model.items())), *length)
