"""Trains multi-label image classification."""

from __future__ import annotations

from shared.config.config import Config
from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.tasks.base import FitContext
from shared.tasks.image_multilabel.data import read_labels
from shared.tasks.image_multilabel.module import LitMultiLabel
from shared.tasks.image_multilabel.spec import ImageMultiLabel
from shared.tasks.images.learner import ImageLearner


class MultiLabelLearner(ImageLearner):
    """Trains a `LitMultiLabel`."""

    task: ImageMultiLabel

    def __init__(self, task: ImageMultiLabel, cfg: Config) -> None:
        super().__init__(task, cfg)

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """Which of the labels each row has."""
        settings = self.task.config
        return read_labels(column, problems, separator=settings.separator, none=settings.none)

    def module(self, schema: Schema, fit: FitContext) -> LitMultiLabel:
        """A new classifier."""
        return LitMultiLabel(self.cfg, spec=self.task.spec(schema), fit=fit)
