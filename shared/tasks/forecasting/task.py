"""Forecasting: the next steps of each of several time series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.config.model import OF_TREES, LinearConfig, LstmConfig, MlpConfig, TcnConfig
from shared.tasks.forecasting.settings import ForecastingConfig
from shared.tasks.forecasting.spec import ForecastingSpec
from shared.tasks.task import Task

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.data.schema import Schema
    from shared.tasks.base import Learner


class Forecasting(Task):
    """The next steps of each of several time series."""

    class Config(ForecastingConfig):
        """How series are cut into windows, and what is minimised."""

    config: Config
    models = (MlpConfig, LstmConfig, TcnConfig, LinearConfig, *OF_TREES)
    takes = "mlp, lstm, tcn, linear, trees, xgboost, lightgbm or forest"

    def spec(self, schema: Schema) -> ForecastingSpec:
        """What is measured, told and shown on rows of a schema."""
        return ForecastingSpec(schema, window=self.config.window, loss=self.config.loss)

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it."""
        from shared.tasks.forecasting.learner import ForecastingLearner  # imports torch

        return ForecastingLearner(self, cfg, settings=self.config)
