"""Control limits: the quantile of what a model says of normal rows, exact over all clients from counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import FittingError
from shared.sums.exact import Floats
from shared.sums.order import order_statistics, rank_of
from shared.sums.questions import Answers, Arrays, Ask, Question, added, asked

UNKNOWN = 1e30  # the limit of a model that has none yet; what 32 bits can hold
LEAST = 1e-9  # of a limit: below it, what is left of rows is the rounding of numbers
EDGES = "edges"  # of a question, beside the model


def ratios(results: Floats, limits: Floats, *, margin: float) -> Floats:
    """The largest share of its limit that a row reaches, [n]; above 1 it is an alarm.

    Parameters
    ----------
    results : ndarray [n, S], float64, from 0
    limits : ndarray [S] or [n, S], float64
    margin : float
        Factor on the limits.
    """
    found: Floats = (results / np.maximum(limits * margin, LEAST)).max(axis=1)
    return found


def exact_limits(
    kind: str, model: Arrays, ask: Ask, *, answers: Answers, quantile: float, rows: int, columns: int
) -> Floats:
    """The quantile of each of a model's results over the rows of all clients, [S].

    Parameters
    ----------
    kind : str
        Of the question for counts.

    Raises
    ------
    FittingError
        Counts contradict each other.
    """

    def count(edges: Floats) -> Any:
        question = Question(kind, {**model, EDGES: edges})
        return added(asked(question, ask, answers=answers), "counts")

    return order_statistics(count, rank=rank_of(quantile, rows), rows=rows, columns=columns)


def check_counts(counts: NDArray[Any]) -> None:
    """Check that counts at or below ascending edges could be true.

    Raises
    ------
    FittingError
    """
    if (counts < 0).any() or (np.diff(counts, axis=1) < 0).any():
        raise FittingError("its counts at or below ascending edges do not rise")


def without_edges(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The model of a question for counts."""
    return {name: array for name, array in arrays.items() if name != EDGES}
