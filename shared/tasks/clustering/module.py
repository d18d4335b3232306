"""`KMeansModule`, `MixtureModule`, `ClusterDataModule`: in Lightning, an epoch of which is an iteration."""

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
from shared.model.fitted import FittedNetwork
from shared.tasks.checks import reject_settings
from shared.tasks.tables.learner import TableDataModule
from shared.tasks.task_module import TaskModule
from shared.tasks.whole_stages import WholeStages

_ALL = "all rows"  # the one client of a pooled training


class ClusterDataModule(WholeStages, TableDataModule):  # type: ignore[misc]
    """The rows of a table, of which a stage is taken at once."""


class ClusterModule(TaskModule):
    """Changes its clusters once in each epoch, by sums over all rows."""

    minimal_loop = False

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.spec.check_settings(self.cfg.trainer)
        reject_settings(self.cfg.trainer, "task=clustering", gradient_clip=None, ema_decay=None, compile=False)
        self.automatic_optimization = False

    def training_step(self, batch: int, batch_idx: int) -> None:  # type: ignore[override]
        """One iteration; log what it makes of the training rows."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        self.iterate(datamodule.prepared("train"))
        self.optimizers().step()  # type: ignore[union-attr]  # Lightning counts steps
        self._log_stage("train")

    def iterate(self, rows: Floats) -> None:
        """One iteration over rows [n, d]."""
        raise NotImplementedError

    def measured(self, rows: Floats) -> Floats:
        """What the metrics take of rows [n, d], by cluster, [n, k]."""
        raise NotImplementedError

    def validation_step(self, batch: int, batch_idx: int) -> None:  # type: ignore[override]
        """Measure all validation rows."""
        self._log_stage("val")

    def configure_optimizers(self) -> Any:
        """One that does nothing: Lightning counts its steps, and saves no checkpoint where there are none."""
        return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.0)

    def outputs(self, datamodule: ClusterDataModule, stage: str) -> Outputs:
        """What the metrics take of a stage's rows, with the rows and their labels."""
        rows = datamodule.prepared(stage)
        targets = datamodule.data.targets[datamodule.rows[stage]]
        # Labels as numbers: the predictions are no probabilities of them.
        return Outputs(np.concatenate([self.measured(rows), rows], axis=1), targets.astype(np.float64))

    def _log_stage(self, stage: str) -> None:
        outputs = self.outputs(self.trainer.datamodule, stage)  # type: ignore[attr-defined]
        if not len(outputs):
            return
        values = self.spec.values(outputs)
        for name, value in values.items():
            shown = name == self.spec.client_metric
            self.log(f"{stage}/{name}", value, on_step=False, on_epoch=True, batch_size=1, prog_bar=shown)


class KMeansModule(ClusterModule):
    """Moves its centroids once in each epoch."""

    network: CentroidNetwork

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._pooled: tuple[Lloyd, ClientRows] | None = None

    def iterate(self, rows: Floats) -> None:
        """One of Lloyd's."""
        if self._pooled is None:
            self._pooled = Lloyd(seed=self.cfg.seed), ClientRows(rows)
        server, client = self._pooled
        self.network.take(server.iterate(self.network.found, lambda question: {_ALL: client.answer(question)}))

    def measured(self, rows: Floats) -> Floats:
        """Squared distances."""
        return squared_distances(rows, self.network.found.places)

    def train_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """The mean squared distance to the nearest centroid."""
        return results.min(dim=1).values.mean()

    def eval_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """The squared distances to the nearest centroid, summed."""
        return results.min(dim=1).values.sum()

    def predictions(self, results: Tensor) -> Tensor:
        """Squared distances as they are."""
        return results


class MixtureModule(ClusterModule):
    """Takes one step of expectation maximisation in each epoch."""

    network: FittedNetwork

    def iterate(self, rows: Floats) -> None:
        """One step."""
        fitting = self.network.fitting
        found = fitting.step(
            self.network.found, lambda question: {_ALL: fitting.answers.answer(question, rows)}
        )
        self.network.take(found)

    def measured(self, rows: Floats) -> Floats:
        """Negative logarithms of the joint densities."""
        return self.network.fitting.results(self.network.found, rows)

    def train_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """The mean negative log-likelihood."""
        return -torch.logsumexp(-results, dim=1).mean()

    def eval_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """The negative log-likelihoods, summed."""
        return -torch.logsumexp(-results, dim=1).sum()

    def predictions(self, results: Tensor) -> Tensor:
        """The probability of each component."""
        return torch.softmax(-results, dim=1)
