"""Trains multi-label image classification."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.config.config import Config
from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.tasks.base import FitContext
from shared.tasks.image_multilabel.data import read_labels
from shared.tasks.image_multilabel.module import LitMultiLabel
from shared.tasks.image_multilabel.predictions import LabelPredictions
from shared.tasks.image_multilabel.spec import MultiLabelSpec
from shared.tasks.images.learner import ImageLearner
from shared.tasks.task import Task


class MultiLabelLearner(ImageLearner):
    """Trains a `LitMultiLabel`.

    Parameters
    ----------
    separator, none : str
        See `read_labels`.
    """

    def __init__(self, task: Task, cfg: Config, *, separator: str, none: str) -> None:
        super().__init__(task, cfg)
        self.separator, self.none = separator, none

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """Which of the labels each row has."""
        return read_labels(column, problems, separator=self.separator, none=self.none)

    def module(self, schema: Schema, fit: FitContext) -> LitMultiLabel:
        """A new classifier."""
        return LitMultiLabel(self.cfg, spec=MultiLabelSpec(schema), fit=fit)

    def tell(
        self, names: tuple[str, ...], values: npt.NDArray[np.float32], *, schema: Schema, threshold: float
    ) -> LabelPredictions:
        """The labels of each image."""
        return LabelPredictions(names, schema.classes, values, self.separator, self.none)
