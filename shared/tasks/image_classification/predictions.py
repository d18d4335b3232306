"""`ClassPredictions`: the class of each image, and how probable each class is; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shared.tasks.predictions import Predictions


@dataclass(frozen=True)
class ClassPredictions(Predictions):
    """What a classifier says about rows, such as images.

    Attributes
    ----------
    names : tuple of str
        Of the files, or the numbers of the rows from 0.
    classes : tuple of str
    probabilities : ndarray [N, classes], float32
    threshold : float
        Of the probability of the second of 2 classes; the class with the highest probability wins otherwise.
    noun : str
        What a row is.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float32] = field(repr=False)
    threshold: float
    noun: str = "image"

    @property
    def labels(self) -> list[str]:
        """The predicted class of each image."""
        return [self.classes[number] for number in self._numbers()]

    @property
    def answers(self) -> list[str]:
        """The same as `labels`."""
        return self.labels

    @property
    def certainties(self) -> list[float]:
        """The probability of each predicted class."""
        return [float(row[number]) for row, number in zip(self.probabilities, self._numbers(), strict=True)]

    def columns(self) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """The classes with their probabilities."""
        return self.classes, self.probabilities

    def _numbers(self) -> npt.NDArray[np.intp]:
        if len(self.classes) == 2:
            return (self.probabilities[:, 1] > self.threshold).astype(np.intp)
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.intp)
