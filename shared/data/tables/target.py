"""`binned`: classes of a numeric target, by edges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from shared.data.tables.cells import Cells


def bin_names(edges: Sequence[float]) -> tuple[str, ...]:
    """What the classes between edges are called: ``up to 0``, ``above 0 to 2``, ``above 2``."""
    ends = [f"{edge:g}" for edge in edges]
    between = [f"above {low} to {high}" for low, high in pairwise(ends)]
    return (f"up to {ends[0]}", *between, f"above {ends[-1]}")


def binned(cells: Cells, edges: Sequence[float], names: Sequence[str], *, problems: list[str]) -> list[str]:
    """The class of each row, ``""`` where the target is missing.

    Parameters
    ----------
    edges : sequence of float, K - 1
        Ascending; a number that equals one is in the class below it.
    names : sequence of str, K
    problems : list of str
        Takes a sentence if texts are no numbers, or there are not as many names as classes.
    """
    if cells.levels:
        texts = ", ".join(map(repr, [*cells.levels][:5]))
        problems.append(f"data.target_bins needs a target of numbers, and it holds {texts}")
    if len(names) != len(edges) + 1:
        problems.append(
            f"data.target_bins={[*edges]} makes {len(edges) + 1} classes, and data.classes names {len(names)}"
        )
        return [""] * len(cells.numbers)
    numbers = cells.numbers
    places = np.searchsorted(np.asarray(edges), numbers, side="left")
    return [
        "" if np.isnan(number) else names[place]
        for number, place in zip(numbers.tolist(), places.tolist(), strict=True)
    ]
