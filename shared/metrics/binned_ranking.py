"""A ranking in bins: counts of scores from which AUROC, average precision and a threshold follow.

The bins are thousandths of the probability; the first and the last of them are cut into 31, evenly on a
logarithmic scale down to 1e-6 and up to 1 - 1e-6, where a trained model has most of its rows. Two rows in the
same bin count as equal, so the AUROC is wrong by `auroc_error` at most, which follows from the counts: half the
share of the pairs of a positive and a negative that fall into the same bin. Both areas are typically right to
0.001, and to 0.01 as long as all probabilities lie within a few hundredths (a model that is hardly trained).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.metrics.averages import Floats
from shared.metrics.ranking import areas

THOUSANDTHS = 1000
_TAIL = 10.0 ** -(3 + np.arange(1, 31) / 10)
_EDGES = np.concatenate([[0.0], _TAIL[::-1], np.arange(1, THOUSANDTHS) / THOUSANDTHS, 1 - _TAIL, [1.0]])
# In 32 bits, like the probabilities of a network, so that a threshold decides here as it does for a row.
EDGES = _EDGES.astype(np.float32)
BINS = len(EDGES) - 1

Counts = NDArray[np.int64]


def bin_scores(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> Counts:
    """Count the scores of each bin.

    Parameters
    ----------
    scores : ndarray [N], float, in [0, 1]
    positive : ndarray [N], bool

    Returns
    -------
    ndarray [2, BINS], int64
        Rows: negatives, positives. A score at an edge is in the bin below it: it is not above that threshold.
    """
    places = np.clip(np.searchsorted(EDGES, scores.astype(np.float32), side="left") - 1, 0, BINS - 1)
    return np.bincount(positive * BINS + places, minlength=2 * BINS).astype(np.int64).reshape(2, BINS)


def binned_areas(counts: Counts) -> tuple[float, float]:
    """AUROC and average precision of binned scores; equal to the exact ones if every row has a bin of its own.

    Parameters
    ----------
    counts : ndarray [2, BINS], int64

    Returns
    -------
    tuple of float
        NaN where there is no positive; the AUROC also where there is no negative.
    """
    negatives, positives = counts[:, ::-1, None].astype(np.float64)  # the highest score first
    if not positives.any():
        return float("nan"), float("nan")
    area, average_precision = areas(
        gained=positives,
        lost=negatives,
        correct=np.cumsum(positives, axis=0),
        claimed=np.cumsum(positives + negatives, axis=0),
        positives=positives.sum(axis=0),
        negatives=negatives.sum(axis=0),
    )
    return float(area[0]), float(average_precision[0])


def auroc_error(counts: Counts) -> float:
    """How far the binned AUROC can be from the exact one."""
    negatives, positives = counts.astype(np.float64)
    pairs = negatives.sum() * positives.sum()
    return float((negatives * positives).sum() / (2 * pairs)) if pairs else float("nan")


def in_thousandths(counts: Counts) -> Counts:
    """The same counts in bins of equal width.

    Returns
    -------
    ndarray [2, 1000], int64
        Column ``k`` and those after it are above the threshold ``k / 1000``.
    """
    tail = len(_TAIL)
    starts = [0, *range(tail + 1, BINS - tail)]
    merged: Floats = np.add.reduceat(counts, starts, axis=1)
    return merged.astype(np.int64)
