"""Anomaly detection: rows of a table that are not as the normal ones are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.config.model import AUTOENCODERS, IsolationForestConfig, PcaConfig
from shared.tasks.anomaly.settings import AnomalySettings
from shared.tasks.anomaly.spec import AnomalySpec
from shared.tasks.task import Task

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.data.schema import Schema
    from shared.tasks.base import Learner


class Anomaly(Task):
    """Rows of a table that are not as the normal ones are."""

    class Config(AnomalySettings):
        """Where the control limits are."""

    config: Config
    models = (PcaConfig, IsolationForestConfig, *AUTOENCODERS)
    takes = "pca, isolation_forest, autoencoder or conv_autoencoder"

    def spec(self, schema: Schema) -> AnomalySpec:
        """What is measured, told and shown on rows of a schema."""
        return AnomalySpec(schema)

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it."""
        from shared.tasks.anomaly.learner import AnomalyLearner  # imports torch

        return AnomalyLearner(self, cfg, settings=self.config)
