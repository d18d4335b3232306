"""Trains image regression."""

from __future__ import annotations

from shared.config.config import Config
from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.tasks.base import FitContext
from shared.tasks.image_regression.data import read_numbers
from shared.tasks.image_regression.module import LitRegressor
from shared.tasks.image_regression.spec import ImageRegression
from shared.tasks.images.learner import ImageLearner


class RegressionLearner(ImageLearner):
    """Trains a `LitRegressor`."""

    task: ImageRegression

    def __init__(self, task: ImageRegression, cfg: Config) -> None:
        super().__init__(task, cfg)

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """A number a row."""
        return read_numbers(column, problems)

    def module(self, schema: Schema, fit: FitContext) -> LitRegressor:
        """A new regressor."""
        return LitRegressor(self.cfg, spec=self.task.spec(schema), fit=fit)
