"""Multi-label image classification: any number of labels an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.tasks.image_multilabel.data import read_labels
from shared.tasks.image_multilabel.spec import MultiLabelSpec
from shared.tasks.images.task import ImageTask

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.data.schema import Schema
    from shared.data.sources.targets import TargetColumn, Targets
    from shared.tasks.base import Learner


class ImageMultiLabel(ImageTask):
    """Any number of labels an image."""

    class Config(ImageTask.Config):
        """How the labels of a row are written."""

        separator: str
        none: str

    config: Config

    def spec(self, schema: Schema) -> MultiLabelSpec:
        """What is measured, told and shown on rows of a schema."""
        return MultiLabelSpec(schema)

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """Which of the labels each row has."""
        return read_labels(column, problems, separator=self.config.separator, none=self.config.none)

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it."""
        from shared.tasks.image_multilabel.learner import MultiLabelLearner  # imports torch

        return MultiLabelLearner(self, cfg, separator=self.config.separator, none=self.config.none)
