"""Image classification: one of several classes an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.tasks.image_classification.spec import ClassificationSpec
from shared.tasks.task import Task

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.data.schema import Schema
    from shared.tasks.base import Learner


class ImageClassification(Task):
    """One of several classes an image."""

    def spec(self, schema: Schema) -> ClassificationSpec:
        """What is measured, told and shown on rows of a schema."""
        return ClassificationSpec(schema)

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it."""
        from shared.tasks.image_classification.learner import ClassificationLearner  # imports torch

        return ClassificationLearner(self, cfg)
