"""`ClassRows`: what a classifier says of each row: the class, how sure it is, and what that costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.metrics.averages import Bools, Floats
from shared.metrics.outputs import Outputs

Ints = NDArray[np.int64]

CALIBRATION_BINS = 15
LEAST_PROBABILITY = 1e-12  # of the true class, in the loss: a certain mistake has a finite one


class ClassRows:
    """The rows of a classifier with so many classes."""

    def __init__(self, num_classes: int) -> None:
        assert num_classes >= 2, num_classes
        self.num_classes = num_classes

    def predicted(self, outputs: Outputs) -> Ints:
        """The predicted class of each row.

        Returns
        -------
        ndarray [N], int64
        """
        probabilities, _ = self.checked(outputs)
        if self.num_classes == 2:
            return (probabilities[:, 1].astype(np.float32) > np.float32(outputs.threshold)).astype(np.int64)
        return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def measured_classes(self) -> Ints:
        """The classes that precision, recall and the curves are of: class 1 of two, each one of more."""
        return np.arange(self.num_classes) if self.num_classes > 2 else np.array([1])

    def losses(self, outputs: Outputs) -> Floats:
        """The negative log likelihood of each row's true class, ndarray [N], float64."""
        probabilities, targets = self.checked(outputs)
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
        probabilities, targets = self.checked(outputs)
        if self.num_classes == 2:
            return probabilities[:, 1].astype(np.float64), targets == 1
        return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == targets

    def checked(self, outputs: Outputs) -> tuple[NDArray[np.floating], Ints]:
        """Probabilities [N, classes] and true classes [N] of outputs, which must be of so many classes."""
        assert outputs.predictions.shape[1:] == (self.num_classes,), (
            outputs.predictions.shape,
            self.num_classes,
        )
        return outputs.predictions, outputs.targets

    def confusion(self, outputs: Outputs) -> Ints:
        """Count the predictions, at the outputs' own threshold.

        Returns
        -------
        ndarray [classes, classes], int64
            A row a true class, a column a predicted class.
        """
        _, targets = self.checked(outputs)
        pairs = targets * self.num_classes + self.predicted(outputs)
        counts = np.bincount(pairs, minlength=self.num_classes**2).astype(np.int64)
        return counts.reshape(self.num_classes, self.num_classes)


def calibration_bins(confidence: Floats) -> NDArray[np.intp]:
    """The calibration bin of each confidence, from 0 to `CALIBRATION_BINS`."""
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)
    return np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, CALIBRATION_BINS)
