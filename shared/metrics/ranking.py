"""AUROC and average precision of scores, exact under many resamples at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def rank(scores: NDArray[np.floating], positive: Bools, weights: Floats) -> tuple[Floats, Floats]:
    """AUROC and average precision; equal scores are one step of both curves.

    Parameters
    ----------
    scores : ndarray [N], float
    positive : ndarray [N], bool
    weights : ndarray [N, R], float64
        How often each row is counted in each of R resamples.

    Returns
    -------
    tuple of ndarray [R], float64
        NaN where there is no positive; the AUROC also where there is no negative.
    """
    if not positive.any():
        return np.full(weights.shape[1], np.nan), np.full(weights.shape[1], np.nan)
    # only scores that a positive has are steps of the curves (odd keys); what lies between is merged (even)
    levels = np.unique(-scores[positive])
    key = np.searchsorted(levels, -scores, side="left") + np.searchsorted(levels, -scores, side="right")
    order = np.argsort(key, kind="stable")
    positive_order = order[positive[order]]
    steps, at_key = _sum_runs(key[order], weights[order])
    gained, _ = _sum_runs(key[positive_order], weights[positive_order])
    claimed, correct = np.cumsum(steps, axis=0)[at_key % 2 == 1], np.cumsum(gained, axis=0)
    positives = correct[-1]
    negatives = steps.sum(axis=0) - positives
    return areas(
        gained=gained,
        lost=steps[at_key % 2 == 1] - gained,
        correct=correct,
        claimed=claimed,
        positives=positives,
        negatives=negatives,
    )


def areas(
    *,
    gained: Floats,
    lost: Floats,
    correct: Floats,
    claimed: Floats,
    positives: Floats,
    negatives: Floats,
) -> tuple[Floats, Floats]:
    """AUROC and average precision from the steps of a ranking, the highest score first.

    Parameters
    ----------
    gained, lost : ndarray [K, R], float64
        Positives and negatives on each step.
    correct, claimed : ndarray [K, R], float64
        Positives, and rows, on this step and above.
    positives, negatives : ndarray [R], float64
        In all.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(claimed > 0, correct / claimed, 0.0)
        average_precision = np.einsum("kr,kr->r", gained, precision) / positives
        # pairs won by a step: the negatives that rank below it, and half of those on it
        won = negatives - (claimed - correct) + lost / 2
        area = np.einsum("kr,kr->r", gained, won) / (positives * negatives)
    return area, average_precision


def _sum_runs(key: NDArray[np.intp], rows: Floats) -> tuple[Floats, NDArray[np.intp]]:
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    return np.add.reduceat(rows, starts, axis=0), key[starts]
