"""`ModuleLearner`: what every learner of a `TaskModule` does in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback
from torch import nn

from shared.config.config import Config
from shared.data.arrays import ArrayDataModule
from shared.data.dataset import Ints
from shared.data.schema import Schema
from shared.metrics.outputs import Outputs
from shared.tasks.base import FitContext, TaskSpec
from shared.tasks.stage_outputs import predict
from shared.tasks.task import Task
from shared.tasks.task_module import TaskModule
from shared.training.trainer import evaluation_device


class ModuleLearner:
    """Trains a `TaskModule`; what all learners of ours have in common."""

    def __init__(self, task: Task, cfg: Config) -> None:
        self.task, self.cfg = task, cfg

    def spec(self, schema: Schema) -> TaskSpec:
        """What is measured, told and shown on rows of a schema."""
        return self.task.spec(schema)

    def begin_fit(self, module: TaskModule, fit: FitContext) -> TaskModule:
        """The same module, made ready for the next fit."""
        module.begin_fit(fit)
        return module

    def settings_of(self, rows: Ints | None, fit: FitContext) -> dict[str, Any]:
        """What every datamodule of ours is told of a fit: whose rows, in which order."""
        return {
            "seed": self.cfg.seed,
            "indices": rows,
            "partition_id": fit.partition_id,
            "epoch_offset": fit.epoch_offset,
            "parts": fit.parts,
        }

    def callbacks(self, fit: FitContext) -> Sequence[Callback]:
        """The module needs none."""
        return ()

    def network(self, module: TaskModule) -> nn.Module:
        """The part whose weights are the model."""
        return module.network

    def predict(self, module: TaskModule, datamodule: ArrayDataModule, stage: str) -> Outputs:
        """Evaluate a module on a stage, on a GPU where the training would use one."""
        return predict(module, datamodule, stage, device=evaluation_device(self.cfg.trainer))
