"""`squared_distances`: from rows to centroids, the same bits for a row whichever rows stand beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK = 2**13  # rows whose distances are added up at once


def squared_distances(rows: Floats, centroids: Floats) -> Floats:
    """Squared Euclidean distances, added up column by column.

    A product of matrices would be quicker, but its last bits depend on how many rows there are, and a tie
    between two centroids would then fall either way.

    Parameters
    ----------
    rows : ndarray [n, d], float64
    centroids : ndarray [k, d], float64

    Returns
    -------
    ndarray [n, k], float64
    """
    found = np.zeros((len(rows), len(centroids)))
    for first in range(0, len(rows), BLOCK):
        part, own = rows[first : first + BLOCK], found[first : first + BLOCK]
        for column, places in zip(part.T, centroids.T, strict=True):
            step = column[:, None] - places
            step *= step
            own += step
    return found
