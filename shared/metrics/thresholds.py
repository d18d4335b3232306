"""`best_threshold`: which threshold of two classes decides best on a validation set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.metrics.binned_ranking import THOUSANDTHS


def best_threshold(counts: NDArray[np.int64]) -> float:
    """The threshold with the best accuracy; among equals, the middle of the range nearest to 0.5.

    Parameters
    ----------
    counts : ndarray [2, 1000], int64
        From `shared.metrics.binned_ranking.in_thousandths`; those of several clients add up.

    Returns
    -------
    float
        In thousandths, above 0 and below 1.
    """
    negatives, positives = counts
    below = np.concatenate([[0], np.cumsum(negatives)])  # class 0, rightly not above the threshold
    above = np.concatenate([np.cumsum(positives[::-1])[::-1], [0]])  # class 1, rightly above it
    right = (below + above)[1:-1]
    candidates = 1 + np.flatnonzero(right == right.max())
    runs = np.split(candidates, np.flatnonzero(np.diff(candidates) > 1) + 1)
    middles = [float(run[0] + run[-1]) / 2 for run in runs]
    nearest = min(middles, key=lambda middle: abs(middle - THOUSANDTHS / 2))
    return round(nearest) / THOUSANDTHS
