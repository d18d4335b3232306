"""Trains image regression."""

from __future__ import annotations

from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.tasks.base import FitContext
from shared.tasks.image_regression.data import read_numbers
from shared.tasks.image_regression.module import LitRegressor
from shared.tasks.image_regression.spec import RegressionSpec
from shared.tasks.images.learner import ImageLearner


class RegressionLearner(ImageLearner):
    """Trains a `LitRegressor`."""

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """A number a row."""
        return read_numbers(column, problems)

    def module(self, schema: Schema, fit: FitContext) -> LitRegressor:
        """A new regressor."""
        return LitRegressor(self.cfg, spec=RegressionSpec(schema), fit=fit)
