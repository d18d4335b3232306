"""Rates of classes and their means, under many resamples at once, for `classification`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def rates(*, correct: Floats, claimed: Floats, positives: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 from counts.

    Parameters
    ----------
    correct, claimed, positives : ndarray [R, classes], float64
        Rows rightly predicted as each class, predicted as it, and of it.
    """
    present = positives > 0
    return {
        "precision": mean_over_classes(_ratio(correct, claimed), present),
        "recall": mean_over_classes(_ratio(correct, positives), present),
        "f1": mean_over_classes(_ratio(2 * correct, positives + claimed), present),
    }


def mean_over_classes(values: Floats, present: Bools) -> Floats:
    """The mean over the classes that occur, [R] of [R, classes]; NaN where there is none."""
    # a class that is the whole resample has no negatives: its AUROC alone is NaN
    counted = present & ~np.isnan(values)
    count = counted.sum(axis=1)
    summed = np.where(counted, values, 0.0).sum(axis=1)
    mean: Floats = np.divide(summed, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean


def defined(values: Mapping[str, float]) -> dict[str, float]:
    """The values that are not NaN."""
    return {name: value for name, value in values.items() if not np.isnan(value)}


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
