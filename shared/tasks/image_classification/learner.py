"""Trains image classification."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.tasks.base import FitContext
from shared.tasks.image_classification.data import read_classes
from shared.tasks.image_classification.module import LitClassifier
from shared.tasks.image_classification.predictions import ClassPredictions
from shared.tasks.image_classification.spec import ClassificationSpec
from shared.tasks.images.learner import ImageLearner


class ClassificationLearner(ImageLearner):
    """Trains a `LitClassifier`."""

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """One of the classes for each row."""
        return read_classes(column, problems)

    def module(self, schema: Schema, fit: FitContext) -> LitClassifier:
        """A new classifier."""
        return LitClassifier(self.cfg, spec=ClassificationSpec(schema), fit=fit)

    def tell(
        self, names: tuple[str, ...], values: npt.NDArray[np.float32], *, schema: Schema, threshold: float
    ) -> ClassPredictions:
        """The class of each image."""
        return ClassPredictions(names, schema.classes, values, threshold)
