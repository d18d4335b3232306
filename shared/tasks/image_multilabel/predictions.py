"""`LabelPredictions`: which labels an image has, and how probable each label is; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shared.metrics.multilabel import THRESHOLD
from shared.tasks.predictions import Predictions


@dataclass(frozen=True)
class LabelPredictions(Predictions):
    """What a multi-label classifier says about images.

    Attributes
    ----------
    names : tuple of str
        Of the files, or the numbers of the images from 0.
    classes : tuple of str
        The labels.
    probabilities : ndarray [N, labels], float32
        Of each label on its own: those of an image need not add up to 1.
    separator, none : str
        How several labels are written, and none at all; see `shared.tasks.image_multilabel.data.read_labels`.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float32] = field(repr=False)
    separator: str
    none: str
    noun = "image"

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """The labels that each image has."""
        return [
            tuple(label for label, has in zip(self.classes, row, strict=True) if has)
            for row in self.probabilities > THRESHOLD
        ]

    @property
    def answers(self) -> list[str]:
        """The labels of each image, written as the column that the model learned from."""
        return [self.separator.join(labels) or self.none for labels in self.labels]

    def columns(self) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """The labels with their probabilities."""
        return self.classes, self.probabilities
