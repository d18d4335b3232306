"""A number for each image, such as an age."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Strata
from shared.data.schema import Column, Schema
from shared.data.sources.doubts import doubtful_numbers, number_hint, number_of
from shared.data.sources.targets import TargetColumn, Targets
from shared.runtime.errors import Alike

MOST_BINS, FEWEST = 10, 20  # bins of the target, and rows of each


def read_numbers(column: TargetColumn, problems: list[str]) -> Targets:
    """Read a number a row.

    Returns
    -------
    Targets
        ``values`` [N, 1], float32. The strata are bins of about as many rows each.
    """
    schema = Schema(targets=(Column(column.name, "numeric"),))
    values = np.zeros(len(column.texts))
    if column.labels_a_row > 1:
        problems.append(
            f"there are {column.labels_a_row} labels an image, and task=image_regression takes one number; set "
            f"task=image_multilabel"
        )
        return Targets(values.astype(np.float32)[:, None], schema, None)
    if column.positive is not None:
        problems.append("data.positive is for two classes, and has no effect on numbers; set it to null")
    if column.wanted:
        problems.append(
            f"data.classes has no effect on {column.regression}, whose targets are numbers; set it to null"
        )
    wrong = Alike()
    for place, (row, text) in enumerate(zip(column.rows, column.texts, strict=True)):
        values[place] = _number(text, decimal=column.decimal)
        if not abs(values[place]) <= np.finfo(np.float32).max:
            wrong.add(
                f"{row!r} has {column.name} {text!r}, expected a finite number of 32 bits{number_hint(text)}"
            )
    problems += wrong
    if len(values) and values.min() == values.max():
        problems.append(f"column {column.name!r} has the same number in every row")
    if too_coarse(values):
        problems.append(
            f"the numbers of {column.name!r}, from {values.min():.12g} to {values.max():.12g}, differ by less "
            f"than 32 bits can tell; subtract {np.floor(values.min()):.12g} from each"
        )
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    notes = tuple(doubtful_numbers(finite, column.name))
    return Targets(finite.astype(np.float32)[:, None], schema, bins_of(finite), notes)


def bins_of(values: npt.NDArray[np.floating]) -> Strata:
    """Bins of about as many rows each; equal values are in one bin."""
    count = max(1, min(MOST_BINS, len(values) // FEWEST))
    edges = np.unique(np.quantile(values, np.arange(1, count) / count)) if len(values) else np.zeros(0)
    numbers = np.searchsorted(edges, values, side="right").astype(np.int64)
    ends = [*(f"{edge:g}" for edge in edges), "more"]
    names = tuple(
        f"below {end}" if place == 0 else f"{ends[place - 1]} to {end}" for place, end in enumerate(ends)
    )
    return Strata(numbers, names, noun="bin", on_every_side=False)


def too_coarse(values: npt.NDArray[np.floating]) -> bool:
    """Whether 32 bits round numbers by more than a thousandth of what they span."""
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(values.astype(np.float32) - values).max(initial=0.0)
        return bool(error > np.ptp(values) / 1000) if len(values) and np.isfinite(values).all() else False


def _number(text: str, *, decimal: str) -> float:
    if decimal == ".":
        return number_of(text)
    return np.nan if "." in text else number_of(text.replace(decimal, "."))  # a point is between thousands
