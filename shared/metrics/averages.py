"""Means over rows and over classes, under many resamples at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.metrics.outputs import Outputs

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def under_weights(
    outputs: Outputs,
    weights: Floats | None,
    *,
    names: Sequence[str],
    measure: Callable[[Floats], Mapping[str, Floats]],
) -> dict[str, Floats]:
    """Metrics under many weightings of the rows at once, in the order of their names.

    Parameters
    ----------
    weights : ndarray [R, N], float64, or None
        How often each row is counted, R times; None: once, R = 1.
    measure : callable
        From the weights to every metric, [R]; called only where all predictions are finite.

    Returns
    -------
    dict of str to ndarray [R], float64
        All NaN if a prediction is not finite.
    """
    w = np.ones((1, len(outputs))) if weights is None else weights
    assert w.ndim == 2, w.shape
    assert w.shape[1] == len(outputs) > 0, (w.shape, len(outputs))
    if not outputs.is_finite:
        return {name: np.full(len(w), np.nan) for name in names}
    values = measure(w)
    return {name: values[name] for name in names}


def rates(*, correct: Floats, claimed: Floats, positives: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 from counts: means over the classes that occur, [R].

    Parameters
    ----------
    correct, claimed, positives : ndarray [R, classes], float64
        Rows rightly predicted as each class, predicted as it, and of it.
    """
    each = rates_of_each(correct=correct, claimed=claimed, positives=positives)
    return {name: mean_over_classes(values, positives > 0) for name, values in each.items()}


def rates_of_each(*, correct: Floats, claimed: Floats, positives: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 of each class, [R, classes]; 0 where a count to divide by is 0."""
    return {
        "f1": _ratio(2 * correct, positives + claimed),
        "precision": _ratio(correct, claimed),
        "recall": _ratio(correct, positives),
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
