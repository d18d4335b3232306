"""Tabular classification: one of several classes for each row of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.config.model import OF_TREES, LinearConfig, MlpConfig
from shared.tasks.tabular_classification.spec import TabularClassificationSpec
from shared.tasks.task import Task

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.data.schema import Schema
    from shared.tasks.base import Learner


class TabularClassification(Task):
    """One of several classes for each row of a table."""

    models = (LinearConfig, MlpConfig, *OF_TREES)
    takes = "linear, mlp, trees, xgboost, lightgbm or forest"

    def spec(self, schema: Schema) -> TabularClassificationSpec:
        """What is measured, told and shown on rows of a schema."""
        return TabularClassificationSpec(schema)

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it."""
        from shared.tasks.tabular_classification.learner import TabularClassificationLearner  # imports torch

        return TabularClassificationLearner(self, cfg)
