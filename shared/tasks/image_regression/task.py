"""Image regression: a number for each image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.tasks.image_regression.data import read_numbers
from shared.tasks.image_regression.spec import RegressionSpec
from shared.tasks.images.task import ImageTask

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.data.schema import Schema
    from shared.data.sources.targets import TargetColumn, Targets
    from shared.tasks.base import Learner


class ImageRegression(ImageTask):
    """A number for each image."""

    def spec(self, schema: Schema) -> RegressionSpec:
        """What is measured, told and shown on rows of a schema."""
        return RegressionSpec(schema)

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """A number a row."""
        return read_numbers(column, problems)

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it."""
        from shared.tasks.image_regression.learner import RegressionLearner  # imports torch

        return RegressionLearner(self, cfg)
