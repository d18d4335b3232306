"""The x-axes of charts: cumulative examples, seconds and bytes of a run after each round or epoch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from service.read.run_config import unit
from shared.tracking.rows import RunRow
from shared.tracking.series import Step
from shared.tracking.store import Store


@dataclass(frozen=True, slots=True)
class XValues:
    """Cumulative examples, seconds and bytes after one step.

    Attributes
    ----------
    examples : int
        Training examples that went through the model, repeats counted.
    seconds : float or None
        Since the start of the run.
    bytes : int or None
        Up and down; None where nothing is sent, or before the round has ended.
    """

    examples: int
    seconds: float | None
    bytes: int | None


def x_axes(store: Store, run: RunRow) -> dict[int, XValues]:
    """X values of each round or epoch of a run.

    Returns
    -------
    dict of int to XValues
        Ascending.
    """
    steps = store.series.steps(run.id)
    sent = _bytes(store, run)
    numbers = sorted({*steps, *sent})
    nothing = Step(examples=0, time=None)
    found = [steps.get(number, nothing) for number in numbers]
    seen = accumulate(step.examples for step in found)
    return {
        number: XValues(
            examples=total,
            seconds=None if step.time is None else (step.time - run.started).total_seconds(),
            bytes=sent.get(number),
        )
        for number, step, total in zip(numbers, found, seen, strict=True)
    }


def x_axis_columns(store: Store, run: RunRow) -> dict[str, Any]:
    """The x-axes of a run as columns.

    Returns
    -------
    dict
        See `service.api.chart_schemas.Steps`.
    """
    found = x_axes(store, run)
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
