"""Tabular regression: a number for each row of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.config.model import OF_TREES, LinearConfig, MlpConfig
from shared.tasks.tabular_regression.spec import TabularRegressionSpec
from shared.tasks.task import Task

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.data.schema import Schema
    from shared.tasks.base import Learner


class TabularRegression(Task):
    """A number for each row of a table."""

    models = (LinearConfig, MlpConfig, *OF_TREES)
    takes = "linear, mlp, trees, xgboost, lightgbm or forest"

    def spec(self, schema: Schema) -> TabularRegressionSpec:
        """What is measured, told and shown on rows of a schema."""
        return TabularRegressionSpec(schema)

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it."""
        from shared.tasks.tabular_regression.learner import TabularRegressionLearner  # imports torch

        return TabularRegressionLearner(self, cfg)
