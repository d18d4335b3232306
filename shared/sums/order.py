"""`order_statistics`: the k-th smallest value of rows that nobody has together, exact, from counts alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shared.runtime.errors import FittingError
from shared.sums.exact import Floats, Ints

EDGES = 1023  # of a question; each narrows the 2**63 numbers of 64 bits to a 1,024th
_MOST = int(np.array(np.finfo(np.float64).max).view(np.int64))


def rank_of(quantile: float, rows: int) -> int:
    """Which of so many values, from 1, is the smallest that has this share of them at or below it."""
    return max(1, min(rows, int(np.ceil(round(quantile * rows, 9)))))


def quantiles(values: Floats, quantile: float) -> Floats:
    """The value of each column [S] of rows [n, S] that `rank_of` names; NumPy calls it ``inverted_cdf``."""
    found: Floats = np.sort(values, axis=0)[rank_of(quantile, len(values)) - 1]
    return found


def counts_at_most(values: Floats, edges: Floats) -> Ints:
    """How many rows of each column are at most each edge, [S, E].

    Parameters
    ----------
    values : ndarray [n, S], float64
    edges : ndarray [S, E], float64
    """
    pairs = zip(values.T, edges, strict=True)
    return np.array([np.searchsorted(np.sort(own), at, side="right") for own, at in pairs], dtype=np.int64)


def order_statistics(
    count: Callable[[Floats], Ints], *, rank: int, rows: int, columns: int, edges: int = EDGES
) -> Floats:
    """The value of each column that has a rank among all rows.

    Numbers of 64 bits from 0 are in the order of their bits, so a search among these finds the value itself.

    Parameters
    ----------
    count : callable
        From edges [S, E] to how many rows of all clients are at most each, [S, E].
    rank : int
        From 1.

    Returns
    -------
    ndarray [S], float64

    Raises
    ------
    FittingError
        Counts contradict each other.
    """
    low, high = [-1] * columns, [_MOST] * columns
    while any(above - below > 1 for below, above in zip(low, high, strict=True)):
        steps = [
            [below + (above - below) * step // (edges + 1) for step in range(1, edges + 1)]
            for below, above in zip(low, high, strict=True)
        ]
        bits = np.maximum(np.array(steps, dtype=np.int64), 0)
        counts = count(bits.view(np.float64))
        if not ((counts >= 0) & (counts <= rows)).all() or (np.diff(counts, axis=1) < 0).any():
            raise FittingError(f"counts of {rows} rows at or below edges do not rise from 0 to {rows}")
        for column, (own, found) in enumerate(zip(steps, counts >= rank, strict=True)):
            first = int(found.argmax()) if found.any() else edges
            if first < edges:
                high[column] = max(own[first], 0)
            if first:
                low[column] = max(own[first - 1], low[column])
            if high[column] == 0:
                low[column] = -1
    return np.array(high, dtype=np.int64).view(np.float64)
