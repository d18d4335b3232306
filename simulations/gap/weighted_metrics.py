"""What `Predictions` score on the test set, under many weightings at once, for `simulations.gap.bootstrap`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METRICS = (
    "loss",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "auroc",
    "average_precision",
    "calibration_error",
)
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Predictions:
    """What one model says about the test set.

    Attributes
    ----------
    probabilities : ndarray [N, classes], float64
        Rows sum to 1.
    labels : ndarray [N], int64
        From 0.
    threshold : float
        Two classes only: class 1 is predicted where its probability is above this, in 32 bits, as torchmetrics
        does.
    """

    probabilities: Floats
    labels: Ints
    threshold: float = 0.5

    def __post_init__(self) -> None:
        assert self.probabilities.ndim == 2, self.probabilities.shape
        assert len(self.probabilities) == len(self.labels) > 0, (len(self.probabilities), len(self.labels))
        assert 0 <= self.labels.min() <= self.labels.max() < self.probabilities.shape[1] >= 2

    def predicted(self) -> Ints:
        """The predicted class of each row.

        Returns
        -------
        ndarray [N], int64
        """
        if self.probabilities.shape[1] == 2:
            return (self.probabilities[:, 1].astype(np.float32) > np.float32(self.threshold)).astype(np.int64)
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)


def metric_values(pred: Predictions, weights: Floats | None = None) -> dict[str, Floats]:
    """All `METRICS` of one model, under many weightings of the test examples at once.

    Two classes: precision, recall, F1, AUROC and average precision of class 1. More: the mean over classes
    (macro, one-vs-rest). A class without an example is left out; if none is left the value is NaN. The
    calibration error is that of torchmetrics (L1): over the top label's probability, and over the
    probability of class 1 if there are two classes. Everything is NaN if a probability is not finite.

    Parameters
    ----------
    weights : ndarray [R, N], float64, optional
        How often each example is counted, R times; by default once, R = 1.

    Returns
    -------
    dict of str to ndarray [R], float64

    References
    ----------
    Naeini et al. (2015), Obtaining Well Calibrated Probabilities Using Bayesian Binning.
    """
    probabilities, labels = pred.probabilities, pred.labels
    num_examples, num_classes = probabilities.shape
    w = np.ones((1, num_examples)) if weights is None else weights
    assert w.ndim == 2, w.shape
    assert w.shape[1] == num_examples, (w.shape, num_examples)
    if not np.isfinite(probabilities).all():
        return {name: np.full(len(w), np.nan) for name in METRICS}
    total = w.sum(axis=1)
    predicted = pred.predicted()
    hit = predicted == labels
    true_probability = probabilities[np.arange(num_examples), labels]

    classes = np.arange(num_classes) if num_classes > 2 else np.array([1])
    is_label = labels[:, None] == classes
    is_predicted = predicted[:, None] == classes
    positives = w @ is_label.astype(np.float64)
    claimed = w @ is_predicted.astype(np.float64)
    correct = w @ (is_label & is_predicted).astype(np.float64)
    present = positives > 0
    columns = np.ascontiguousarray(w.T)
    ranked = [_ranking(probabilities[:, k], is_label[:, i], columns) for i, k in enumerate(classes)]
    return {
        "loss": (w @ -np.log(np.clip(true_probability, 1e-12, 1.0))) / total,
        "accuracy": (w @ hit.astype(np.float64)) / total,
        "precision": _mean_over_classes(_ratio(correct, claimed), present),
        "recall": _mean_over_classes(_ratio(correct, positives), present),
        "f1": _mean_over_classes(_ratio(2 * correct, positives + claimed), present),
        "auroc": _mean_over_classes(np.stack([area for area, _ in ranked], axis=1), present),
        "average_precision": _mean_over_classes(np.stack([ap for _, ap in ranked], axis=1), present),
        "calibration_error": _calibration_error(probabilities, labels, w) / total,
    }


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _mean_over_classes(values: Floats, present: NDArray[np.bool_]) -> Floats:
    # a class that is the whole resample has no negatives: its AUROC alone is NaN
    defined = present & ~np.isnan(values)
    count = defined.sum(axis=1)
    summed = np.where(defined, values, 0.0).sum(axis=1)
    mean: Floats = np.divide(summed, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean


def _calibration_error(probabilities: Floats, labels: Ints, w: Floats) -> Floats:
    if probabilities.shape[1] == 2:
        confidence, outcome = probabilities[:, 1], labels == 1
    else:
        confidence, outcome = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)
    bins = np.searchsorted(edges, confidence, side="right") - 1  # exactly 1 has a bin of its own, as there
    surplus = np.zeros((len(labels), CALIBRATION_BINS + 1))
    surplus[np.arange(len(labels)), bins] = outcome - confidence
    return np.asarray(np.abs(w @ surplus).sum(axis=1))


def _ranking(scores: Floats, positive: NDArray[np.bool_], w: Floats) -> tuple[Floats, Floats]:
    """AUROC and average precision [R] of scores [N] under weights [N, R]; equal scores are one step."""
    if not positive.any():
        return np.full(w.shape[1], np.nan), np.full(w.shape[1], np.nan)
    # only scores that a positive has are steps of the curves (odd keys); what lies between is merged (even)
    levels = np.unique(-scores[positive])
    key = np.searchsorted(levels, -scores, side="left") + np.searchsorted(levels, -scores, side="right")
    order = np.argsort(key, kind="stable")
    positive_order = order[positive[order]]
    steps, at_key = _sum_runs(key[order], w[order])
    gained, _ = _sum_runs(key[positive_order], w[positive_order])
    claimed, correct = np.cumsum(steps, axis=0)[at_key % 2 == 1], np.cumsum(gained, axis=0)
    positives = correct[-1]
    negatives = steps.sum(axis=0) - positives
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(claimed > 0, correct / claimed, 0.0)
        average_precision = np.einsum("kr,kr->r", gained, precision) / positives
        # pairs won by a step: the negatives that rank below it, and half of those on it
        won = negatives - (claimed - correct) + (steps[at_key % 2 == 1] - gained) / 2
        area = np.einsum("kr,kr->r", gained, won) / (positives * negatives)
    return area, average_precision


def _sum_runs(key: NDArray[np.intp], rows: Floats) -> tuple[Floats, NDArray[np.intp]]:
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    return np.add.reduceat(rows, starts, axis=0), key[starts]
