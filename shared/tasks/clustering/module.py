"""`KMeansModule` and `ClusterDataModule`: k-means as a Lightning module, an epoch of which is an iteration."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.clusters.client import ClientRows
from shared.clusters.distances import Floats, squared_distances
from shared.clusters.server import Lloyd
from shared.metrics.outputs import Outputs
from shared.model.centroids import CentroidNetwork
from shared.tasks.checks import reject_settings
from shared.tasks.tables.learner import TableDataModule
from shared.tasks.tables.trees import OneStep
from shared.tasks.task_module import TaskModule

_ALL = "all rows"  # the one client of a pooled training


class ClusterDataModule(TableDataModule):
    """The rows of a table, of which a stage is taken at once."""

    def prepared(self, stage: str) -> Floats:
        """The rows of a stage, scaled and without gaps, [n, d].

        Parameters
        ----------
        stage : {"train", "val", "test"}
        """
        found: Floats = self.inputs[self.rows[stage]]
        return found

    def train_dataloader(self) -> OneStep:  # type: ignore[override]
        """One step, which is an iteration over all training rows."""
        return OneStep()

    def val_dataloader(self) -> OneStep:  # type: ignore[override]
        """One step, in which all validation rows are measured."""
        return OneStep()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Nothing is to be done to it."""
        return batch


class KMeansModule(TaskModule):
    """Moves its centroids once in each epoch."""

    minimal_loop = False
    network: CentroidNetwork

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.spec.check_settings(self.cfg.trainer)
        reject_settings(self.cfg.trainer, "task=clustering", gradient_clip=None, ema_decay=None, compile=False)
        self.automatic_optimization = False
        self._pooled: tuple[Lloyd, ClientRows] | None = None

    def training_step(self, batch: int, batch_idx: int) -> None:  # type: ignore[override]
        """One iteration; log what it makes of the training rows."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        if self._pooled is None:
            self._pooled = Lloyd(seed=self.cfg.seed), ClientRows(datamodule.prepared("train"))
        server, client = self._pooled
        found = server.iterate(self.network.found, lambda question: {_ALL: client.answer(question)})
        self.network.take(found)
        self.optimizers().step()  # type: ignore[union-attr]  # Lightning counts steps
        self._log_stage("train")

    def validation_step(self, batch: int, batch_idx: int) -> None:  # type: ignore[override]
        """Measure all validation rows."""
        self._log_stage("val")

    def configure_optimizers(self) -> Any:
        """One that does nothing: Lightning counts its steps, and saves no checkpoint where there are none."""
        return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.0)

    def outputs(self, datamodule: ClusterDataModule, stage: str) -> Outputs:
        """Squared distances of a stage's rows, with the rows and their labels."""
        rows = datamodule.prepared(stage)
        distances = squared_distances(rows, self.network.found.places)
        targets = datamodule.data.targets[datamodule.rows[stage]]
        # Labels as numbers: the predictions are no probabilities of them.
        return Outputs(np.concatenate([distances, rows], axis=1), targets.astype(np.float64))

    def train_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """The mean squared distance to the nearest centroid."""
        return results.min(dim=1).values.mean()

    def eval_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """The squared distances to the nearest centroid, summed."""
        return results.min(dim=1).values.sum()

    def predictions(self, results: Tensor) -> Tensor:
        """Squared distances as they are."""
        return results

    def _log_stage(self, stage: str) -> None:
        outputs = self.outputs(self.trainer.datamodule, stage)  # type: ignore[attr-defined]
        if not len(outputs):
            return
        values = self.spec.values(outputs)
        for name, value in values.items():
            shown = name == self.spec.client_metric
            self.log(f"{stage}/{name}", value, on_step=False, on_epoch=True, batch_size=1, prog_bar=shown)
