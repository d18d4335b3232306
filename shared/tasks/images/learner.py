"""`ImageLearner`: what the tasks on images have in common: reading, batches, evaluation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.config.config import Config
from shared.data.dataset import SIDES, Ints
from shared.data.images.datamodule import ImageDataModule
from shared.data.images.dataset import ImageData, load_images
from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.tasks.base import FitContext
from shared.tasks.images.trained_model import ImageModel
from shared.tasks.module_learner import ModuleLearner
from shared.tasks.predictions import Predictions
from shared.tasks.task import Task
from shared.tasks.task_module import TaskModule


class ImageLearner(ModuleLearner):
    """Trains a task on images; a subclass reads its targets and makes its module.

    Raises
    ------
    ConfigError
        The model is one for tables, which is told before any image is read.
    """

    def __init__(self, task: Task, cfg: Config) -> None:
        super().__init__(task, cfg)
        task.check(cfg)

    def dataset(self, *, cache: Path, sides: Sequence[str] = SIDES, progress: bool = False) -> ImageData:
        """Read the configured images, decoding them if that was not done before.

        Raises
        ------
        DataError
        """
        return load_images(
            self.cfg.images, cache_dir=cache, read_targets=self.read_targets, progress=progress, sides=sides
        )

    def datamodule(self, data: ImageData, rows: Ints | None, fit: FitContext) -> ImageDataModule:
        """The batches of all rows, or of a client's."""
        return ImageDataModule(
            data,
            cfg=self.cfg.images,
            **self.settings_of(rows, fit),
        )

    @abstractmethod
    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """What is to be predicted, from the text of a column; `problems` takes what is wrong."""

    @abstractmethod
    def module(self, schema: Schema, fit: FitContext) -> TaskModule:
        """A new module with its initial weights."""

    def trained_model(self, module: TaskModule, schema: Schema, *, threshold: float) -> ImageModel:
        """The model of a run, for images from anywhere."""
        tell = partial(self.tell, schema=schema, threshold=threshold)
        return ImageModel(module, data=self.cfg.images, schema=schema, tell=tell, threshold=threshold)

    @abstractmethod
    def tell(
        self, names: tuple[str, ...], values: npt.NDArray[np.float32], *, schema: Schema, threshold: float
    ) -> Predictions:
        """What predicted values [N, ...] say about images."""
