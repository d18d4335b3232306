"""A number for each image, such as an age."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Strata
from shared.data.schema import Column, Schema
from shared.data.sources.targets import TargetColumn, Targets

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
    if column.wanted:
        problems.append(
            "data.classes has no effect on task=image_regression, whose targets are numbers; set it to null"
        )
    for place, (row, text) in enumerate(zip(column.rows, column.texts, strict=True)):
        try:
            values[place] = float(text)
        except ValueError:
            values[place] = math.nan
        if not abs(values[place]) <= np.finfo(np.float32).max:
            problems.append(f"{row!r} has {column.name} {text!r}, expected a finite number of 32 bits")
    if len(values) and values.min() == values.max():
        problems.append(f"column {column.name!r} has the same number in every row")
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return Targets(finite.astype(np.float32)[:, None], schema, bins_of(finite))


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
