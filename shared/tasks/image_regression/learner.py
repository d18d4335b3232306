"""Trains image regression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.runtime.errors import TrackingError
from shared.tasks.base import FitContext
from shared.tasks.image_regression.data import read_numbers
from shared.tasks.image_regression.module import LitRegressor
from shared.tasks.image_regression.spec import SPAN, RegressionSpec
from shared.tasks.images.learner import ImageLearner
from shared.tasks.images.trained_model import ImageModel
from shared.tasks.predictions import NumberPredictions
from shared.tasks.task_module import TaskModule


class RegressionLearner(ImageLearner):
    """Trains a `LitRegressor`."""

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """A number a row."""
        return read_numbers(column, problems)

    def module(self, schema: Schema, fit: FitContext) -> LitRegressor:
        """A new regressor."""
        return LitRegressor(self.cfg, spec=RegressionSpec(schema), fit=fit)

    def trained_model(self, module: TaskModule, schema: Schema, *, threshold: float) -> ImageModel:
        """The model of a run, which must have kept the span of its targets.

        Raises
        ------
        TrackingError
            It was stored by a version that did not keep it.
        """
        if SPAN not in module.fit_context.agreed:
            raise TrackingError(
                "this run was stored without the span of its targets, in whose unit it predicts; train it again"
            )
        return super().trained_model(module, schema, threshold=threshold)

    def tell(
        self, names: tuple[str, ...], values: npt.NDArray[np.float32], *, schema: Schema, threshold: float
    ) -> NumberPredictions:
        """The number of each image."""
        return NumberPredictions(names, values.reshape(-1), noun="image")
