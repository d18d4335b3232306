"""`TaskModule`: network, optimiser, schedule and the logging of epochs; a task adds its loss."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics.utilities.distributed import gather_all_tensors

from shared.config.config import Config
from shared.metrics.outputs import Outputs
from shared.model.backbones import frozen_modules
from shared.runtime.errors import DivergedError
from shared.runtime.seeding import derive_seed
from shared.tasks.base import FitContext, TaskSpec
from shared.tasks.optimizer import configure_optimizer

Batch = tuple[Tensor, Tensor]  # inputs and targets


class TaskModule(L.LightningModule):
    """A model that trains the same way on all rows and on one client's.

    A subclass says what is lost and what is predicted; whatever it needs of a fit it takes in `begin_fit`.

    Parameters
    ----------
    spec : TaskSpec
        What the predictions of an epoch are judged by.
    network : nn.Module
        From inputs to what the loss takes.
    """

    minimal_loop = True  # it needs no more of Lightning than `LeanTrainer` has
    loss_unit = 1.0  # one unit of the loss that is minimised, in the unit of the loss that is reported

    def __init__(self, cfg: Config, *, spec: TaskSpec, network: nn.Module, fit: FitContext) -> None:
        super().__init__()
        self.cfg, self.spec, self.network = cfg, spec, network
        if cfg.trainer.compile:
            self.network.compile()  # in place: its state_dict keeps its names
        self._results: list[tuple[Tensor, Tensor, Tensor]] = []
        self.begin_fit(fit)

    def begin_fit(self, fit: FitContext) -> None:
        """Make ready for the next fit; quicker than a new module."""
        self.fit_context = fit

    @abstractmethod
    def train_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a training batch, scalar."""

    @abstractmethod
    def eval_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """The summed loss of a batch, scalar, as it is reported of validation rows."""

    @abstractmethod
    def predictions(self, results: Tensor) -> Tensor:
        """What the metrics take, of what the network gives."""

    def forward(self, inputs: Tensor) -> Tensor:
        """What the network gives for a batch, in 32 bits."""
        results: Tensor = self.network(inputs.to(self.dtype))  # its own where precision=bf16-true and the like
        return results.float()

    def on_train_epoch_start(self) -> None:
        """Seed dropout and augmentation by (seed, partition, epoch); keep frozen parts as they are."""
        fit = self.fit_context
        place = (fit.partition_id, fit.epoch_offset + self.trainer.current_epoch)
        several = self.trainer.world_size > 1  # each device draws its own
        seed = derive_seed(self.cfg.seed, *place, *((self.global_rank,) if several else ()))
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # `torch.manual_seed` looks for GPUs, for a millisecond
        else:
            torch.manual_seed(seed)
        for module in frozen_modules(self.network, self.cfg.model):
            module.eval()
        self._results.clear()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch, scalar; the last batch of an epoch logs the epoch's metrics."""
        inputs, targets = batch
        results = self(inputs)
        loss = self.train_loss(results, targets)
        self._results.append((results.detach(), targets, loss.detach()[None] * len(targets)))
        if self.trainer.is_last_batch:
            self._log_epoch("train")
            self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the training results, which are logged by now."""
        self._results.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the results of a batch."""
        inputs, targets = batch
        results = self(inputs)
        self._results.append((results, targets, self.eval_loss(results, targets)[None]))

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        if self._results:
            self._log_epoch("val")

    def configure_optimizers(self) -> Any:
        """The configured optimiser and schedule, as Lightning takes them."""
        return configure_optimizer(self, cfg=self.cfg.trainer, fit=self.fit_context)

    def outputs_of(self, results: Tensor, targets: Tensor) -> Outputs:
        """What the metrics take, of some of the network's results."""
        return Outputs(self.predictions(results.float()).cpu().numpy(), targets.cpu().numpy())

    def _log_epoch(self, stage: str) -> None:
        results, targets, losses = (
            of_all_devices(torch.cat(parts)) for parts in zip(*self._results, strict=True)
        )
        self._results.clear()
        loss = float(losses.sum() / len(targets)) * self.loss_unit
        if not math.isfinite(loss):
            raise DivergedError(
                f"{stage}/loss is {loss} in epoch {self.trainer.current_epoch + 1}: the training diverged; "
                f"lower trainer.optimizer.lr (now {self.cfg.trainer.optimizer.lr}) or set trainer.gradient_clip"
            )
        values = self.spec.values(self.outputs_of(results, targets))
        for name, value in {**values, "loss": loss}.items():  # the one that was minimised, with its smoothing
            shown = name in ("loss", self.spec.client_metric)
            self.log(
                f"{stage}/{name}",
                value,
                on_step=False,
                on_epoch=True,
                batch_size=1,
                sync_dist=True,
                prog_bar=shown,
            )


def of_all_devices(values: Tensor) -> Tensor:
    """Put the rows of every device that trains one after the other.

    Parameters
    ----------
    values : Tensor [n, ...]
        ``n`` may differ from device to device.

    Returns
    -------
    Tensor [N, ...]
        The same on every device; unchanged where there is one.
    """
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return torch.cat(gather_all_tensors(values))
    return values
