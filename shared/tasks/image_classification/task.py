"""Image classification: one of several classes an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.tasks.image_classification.data import read_classes
from shared.tasks.image_classification.spec import ClassificationSpec
from shared.tasks.images.task import ImageTask

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.data.schema import Schema
    from shared.data.sources.targets import TargetColumn, Targets
    from shared.tasks.base import Learner


class ImageClassification(ImageTask):
    """One of several classes an image."""

    def spec(self, schema: Schema) -> ClassificationSpec:
        """What is measured, told and shown on rows of a schema."""
        return ClassificationSpec(schema)

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """One of the classes for each row."""
        return read_classes(column, problems)

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it."""
        from shared.tasks.image_classification.learner import ClassificationLearner  # imports torch

        return ClassificationLearner(self, cfg)
