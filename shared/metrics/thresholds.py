"""The threshold of two classes: `threshold_counts` of a validation set, and the `best_threshold` for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.metrics.outputs import Outputs

THRESHOLD_BINS = 1000


def threshold_counts(outputs: Outputs) -> NDArray[np.int64]:
    """How often each probability occurs, small enough for a client to send.

    Parameters
    ----------
    outputs : Outputs
        Of 2 classes.

    Returns
    -------
    ndarray [2, 1000], int64
        Rows: true class; columns: the probability of class 1, in thousandths, rounded up less one: column ``k``
        and those after it are above the threshold ``k / 1000``.
    """
    assert outputs.num_classes == 2
    # In 32 bits, like the probabilities, so that the confusion matrix at this threshold decides alike.
    edges = (np.arange(THRESHOLD_BINS + 1) / THRESHOLD_BINS).astype(np.float32)
    above = np.searchsorted(edges, outputs.predictions[:, 1].astype(np.float32), side="left")
    bins = np.clip(above - 1, 0, THRESHOLD_BINS - 1)
    flat = np.bincount(outputs.targets * THRESHOLD_BINS + bins, minlength=2 * THRESHOLD_BINS)
    return flat.astype(np.int64).reshape(2, THRESHOLD_BINS)


def best_threshold(counts: NDArray[np.int64]) -> float:
    """The threshold with the best accuracy; among equals, the middle of the range nearest to 0.5.

    Parameters
    ----------
    counts : ndarray [2, 1000], int64
        From `threshold_counts`, of the validation split; those of several clients add up.

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
    nearest = min(middles, key=lambda middle: abs(middle - THRESHOLD_BINS / 2))
    return round(nearest) / THRESHOLD_BINS
