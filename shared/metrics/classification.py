"""`ClassificationMetrics`: everything that a classifier's outputs are judged by; the one definition.

The rule for a class that does not occur among the targets: it is left out of the means over the classes,
whatever is predicted. Of two classes, what is measured of class 1 is not defined without a row of class 1 (the
AUROC also not without a row of class 0). A metric that is not defined is NaN in `score` and absent in `values`,
never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.metrics.catalogue import CLASSIFICATION, default_monitor
from shared.metrics.outputs import Outputs
from shared.metrics.ranking import rank
from shared.metrics.spec import MetricSpec

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CALIBRATION_BINS = 15
LEAST_PROBABILITY = 1e-12  # of the true class, in the loss: a certain mistake has a finite one


class ClassificationMetrics:
    """The metrics of a classifier with so many classes."""

    metrics: tuple[MetricSpec, ...] = CLASSIFICATION

    def __init__(self, num_classes: int) -> None:
        assert num_classes >= 2, num_classes
        self.num_classes = num_classes

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in order."""
        return tuple(spec.name for spec in self.metrics)

    @property
    def monitor(self) -> str:
        """What chooses the best model, by default."""
        return default_monitor(self.num_classes)

    def score(self, outputs: Outputs, weights: Floats | None = None) -> dict[str, Floats]:
        """All metrics, under many weightings of the rows at once.

        Parameters
        ----------
        weights : ndarray [R, N], float64, optional
            How often each row is counted, R times; by default once, R = 1.

        Returns
        -------
        dict of str to ndarray [R], float64
            In the order of `metrics`; all NaN if a probability is not finite.

        References
        ----------
        Naeini et al. (2015), Obtaining Well Calibrated Probabilities Using Bayesian Binning.
        """
        probabilities, targets = self._checked(outputs)
        w = np.ones((1, len(outputs))) if weights is None else weights
        assert w.ndim == 2, w.shape
        assert w.shape[1] == len(outputs) > 0, (w.shape, len(outputs))
        if not outputs.is_finite:
            return {name: np.full(len(w), np.nan) for name in self.names}
        predicted = self.predicted(outputs)
        classes = self.measured_classes
        is_target = targets[:, None] == classes
        is_predicted = predicted[:, None] == classes
        positives = w @ is_target.astype(np.float64)
        present = positives > 0
        columns = np.ascontiguousarray(w.T)
        ranked = [rank(probabilities[:, k], is_target[:, i], columns) for i, k in enumerate(classes)]
        values = {
            "auroc": mean_over_classes(np.stack([area for area, _ in ranked], axis=1), present),
            "accuracy": (w @ (predicted == targets).astype(np.float64)) / w.sum(axis=1),
            "loss": (w @ self.losses(outputs)) / w.sum(axis=1),
            **rates(
                correct=w @ (is_target & is_predicted).astype(np.float64),
                claimed=w @ is_predicted.astype(np.float64),
                positives=positives,
            ),
            "average_precision": mean_over_classes(np.stack([ap for _, ap in ranked], axis=1), present),
            "calibration_error": np.abs(w @ self.surpluses(outputs)).sum(axis=1) / w.sum(axis=1),
        }
        return {name: values[name] for name in self.names}

    def values(self, outputs: Outputs) -> dict[str, float]:
        """All metrics that are defined, each row counted once.

        Returns
        -------
        dict of str to float
            In the order of `metrics`.
        """
        return defined({name: float(value[0]) for name, value in self.score(outputs).items()})

    def defined_for(self, label_counts: Sequence[int]) -> frozenset[str]:
        """The names of the metrics that are defined on rows of these classes.

        Parameters
        ----------
        label_counts : sequence of int
            Rows of each class; at least one row in all.
        """
        present = np.flatnonzero(np.asarray(label_counts))
        uniform = np.full((len(present), self.num_classes), 1 / self.num_classes)
        return frozenset(self.values(Outputs(uniform, present)))

    def confusion(self, outputs: Outputs) -> Ints:
        """Count the predictions, at the outputs' own threshold.

        Returns
        -------
        ndarray [classes, classes], int64
            A row a true class, a column a predicted class.
        """
        _, targets = self._checked(outputs)
        pairs = targets * self.num_classes + self.predicted(outputs)
        counts = np.bincount(pairs, minlength=self.num_classes**2).astype(np.int64)
        return counts.reshape(self.num_classes, self.num_classes)

    def predicted(self, outputs: Outputs) -> Ints:
        """The predicted class of each row.

        Returns
        -------
        ndarray [N], int64
        """
        probabilities, _ = self._checked(outputs)
        if self.num_classes == 2:
            return (probabilities[:, 1].astype(np.float32) > np.float32(outputs.threshold)).astype(np.int64)
        return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def measured_classes(self) -> Ints:
        """The classes that precision, recall and the curves are of: class 1 of two, each one of more."""
        return np.arange(self.num_classes) if self.num_classes > 2 else np.array([1])

    def losses(self, outputs: Outputs) -> Floats:
        """The negative log likelihood of each row's true class, ndarray [N], float64."""
        probabilities, targets = self._checked(outputs)
        of_target = probabilities[np.arange(len(targets)), targets].astype(np.float64)
        return np.asarray(-np.log(np.clip(of_target, LEAST_PROBABILITY, 1.0)))

    def surpluses(self, outputs: Outputs) -> Floats:
        """By how much outcome and confidence differ, each row in its calibration bin.

        Returns
        -------
        ndarray [N, bins + 1], float64
            Exactly 1 has a bin of its own, as in torchmetrics.
        """
        confidence, outcome = self.confidence(outputs)
        surplus = np.zeros((len(outputs), CALIBRATION_BINS + 1))
        surplus[np.arange(len(outputs)), calibration_bins(confidence)] = outcome - confidence
        return surplus

    def confidence(self, outputs: Outputs) -> tuple[Floats, Bools]:
        """How sure the model is of class 1 of two, or of the likeliest of more classes, and whether it is true.

        Returns
        -------
        tuple of ndarray [N] float64 and ndarray [N] bool
        """
        probabilities, targets = self._checked(outputs)
        if self.num_classes == 2:
            return probabilities[:, 1].astype(np.float64), targets == 1
        return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == targets

    def _checked(self, outputs: Outputs) -> tuple[NDArray[np.floating], Ints]:
        assert outputs.predictions.shape[1:] == (self.num_classes,), (
            outputs.predictions.shape,
            self.num_classes,
        )
        return outputs.predictions, outputs.targets


def calibration_bins(confidence: Floats) -> NDArray[np.intp]:
    """The calibration bin of each confidence, from 0 to `CALIBRATION_BINS`."""
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)
    return np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, CALIBRATION_BINS)


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
