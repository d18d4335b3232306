"""`ImageLearner`: what the tasks on images have in common: reading, batches, evaluation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.callbacks import Callback
from torch import nn

from shared.config.config import Config
from shared.data.dataset import SIDES, Ints
from shared.data.images.datamodule import ImageDataModule
from shared.data.images.dataset import ImageData, load_images
from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.metrics.outputs import Outputs
from shared.tasks.base import FitContext, TaskSpec
from shared.tasks.images.prediction import predict
from shared.tasks.task import Task
from shared.tasks.task_module import TaskModule
from shared.training.trainer import evaluation_device


class ImageLearner:
    """Trains a task on images; a subclass reads its targets and makes its module."""

    def __init__(self, task: Task, cfg: Config) -> None:
        self.task, self.cfg = task, cfg

    def spec(self, schema: Schema) -> TaskSpec:
        """What is measured, told and shown on rows of a schema."""
        return self.task.spec(schema)

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
            seed=self.cfg.seed,
            indices=rows,
            partition_id=fit.partition_id,
            epoch_offset=fit.epoch_offset,
            parts=fit.parts,
        )

    @abstractmethod
    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """What is to be predicted, from the text of a column; `problems` takes what is wrong."""

    @abstractmethod
    def module(self, schema: Schema, fit: FitContext) -> TaskModule:
        """A new module with its initial weights."""

    def begin_fit(self, module: TaskModule, fit: FitContext) -> TaskModule:
        """The same module, made ready for the next fit."""
        module.begin_fit(fit)
        return module

    def callbacks(self, fit: FitContext) -> Sequence[Callback]:
        """The module needs none."""
        return ()

    def network(self, module: TaskModule) -> nn.Module:
        """The part whose weights are the model."""
        return module.network

    def predict(self, module: TaskModule, datamodule: ImageDataModule, stage: str) -> Outputs:
        """Evaluate a module on a stage, on a GPU where the training would use one."""
        return predict(module, datamodule, stage, device=evaluation_device(self.cfg.trainer))
