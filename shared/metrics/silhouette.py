"""`Silhouette`: how much nearer rows are to their own cluster than to the next one, also with rows left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.metrics.averages import Floats

MOST_ROWS = 2_000  # of which all distances are held at once: 32 MB


def sample_of(number: int) -> NDArray[np.int64]:
    """Places of the rows that silhouettes are of: all, or `MOST_ROWS` of more, always the same ones."""
    if number <= MOST_ROWS:
        return np.arange(number)
    return np.sort(np.random.default_rng(0).choice(number, MOST_ROWS, replace=False))


class Silhouette:
    """The mean silhouette of rows (Rousseeuw 1987), exact under any weights.

    Parameters
    ----------
    rows : ndarray [n, d], float64
    nearest : ndarray [n], int
        The cluster of each.
    clusters : int
        k.
    """

    def __init__(self, rows: Floats, nearest: NDArray[np.intp], *, clusters: int) -> None:
        squares = np.square(rows).sum(axis=1)
        distances = squares[:, None] + squares - 2.0 * (rows @ rows.T)
        np.fill_diagonal(distances, 0.0)
        self._distances = np.sqrt(np.maximum(distances, 0.0))
        self._nearest, self._is_in = nearest, np.eye(clusters)[nearest]
        self._sums = self._distances @ self._is_in  # from each row to all rows of a cluster

    def mean(self, weights: Floats) -> Floats:
        """The mean under each of many weightings.

        Parameters
        ----------
        weights : ndarray [R, n], float64
            How often each row is counted.

        Returns
        -------
        ndarray [R], float64
            NaN where all rows are in one cluster, or each in its own.
        """
        return np.array([self._under(own) for own in weights])

    def _under(self, weights: Floats) -> float:
        other = np.flatnonzero(weights != 1.0)  # few, where a group is left out
        lacking = (1.0 - weights[other])[:, None] * self._is_in[other]
        sums = self._sums - self._distances[:, other] @ lacking
        sizes = weights @ self._is_in
        filled, total = int((sizes > 0).sum()), float(weights.sum())
        if not 2 <= filled <= total - 1:
            return np.nan
        own_sizes = sizes[self._nearest]
        places = np.arange(len(sums))
        own = np.divide(
            sums[places, self._nearest], own_sizes - 1, out=np.zeros(len(sums)), where=own_sizes > 1
        )
        means = np.divide(sums, sizes, out=np.full(sums.shape, np.inf), where=sizes > 0)
        means[places, self._nearest] = np.inf
        next_ = means.min(axis=1)
        larger = np.maximum(own, next_)
        silhouettes = np.divide(
            next_ - own, larger, out=np.zeros(len(sums)), where=(larger > 0) & (own_sizes > 1)
        )
        return float(weights @ silhouettes) / total
