"""The x-axes of a run: examples seen, seconds and bytes after each round or epoch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from service.read.run_config import unit
from shared.tracking.rows import RunRow
from shared.tracking.store import Store


@dataclass(frozen=True, slots=True)
class Step:
    """What it took to come so far.

    Attributes
    ----------
    examples : int
        Training examples that went through the model, repeats counted.
    seconds : float or None
        Since the run began.
    bytes : int or None
        Both ways; None where nothing is sent, or the round has not ended.
    """

    examples: int
    seconds: float | None
    bytes: int | None


def steps(store: Store, run: RunRow) -> dict[int, Step]:
    """What each round or epoch of a run took, since its beginning.

    Returns
    -------
    dict of int to Step
        In order.
    """
    by = unit(run)
    examples = store.series.examples_by_step(run.id, unit=by)
    times = store.series.times_by_step(run.id, unit=by)
    sent = _bytes(store, run)
    numbers = sorted({*examples, *times, *sent})
    seen = accumulate(examples.get(number, 0) for number in numbers)
    return {
        number: Step(
            examples=total,
            seconds=(times[number] - run.started).total_seconds() if number in times else None,
            bytes=sent.get(number),
        )
        for number, total in zip(numbers, seen, strict=True)
    }


def run_steps(store: Store, run: RunRow) -> dict[str, Any]:
    """The same as columns.

    Returns
    -------
    dict
        See `service.api.chart_schemas.Steps`.
    """
    found = steps(store, run)
    return {
        "unit": unit(run),
        "step": list(found),
        "examples": [step.examples for step in found.values()],
        "seconds": [step.seconds for step in found.values()],
        "bytes": [step.bytes for step in found.values()],
    }


def _bytes(store: Store, run: RunRow) -> dict[int, int]:
    if unit(run) == "epoch":
        return {}
    rounds = store.rounds.of_run(run.id)
    total = accumulate(row.bytes_down + row.bytes_up for row in rounds)
    return {0: 0, **dict(zip((row.round for row in rounds), total, strict=True))}
