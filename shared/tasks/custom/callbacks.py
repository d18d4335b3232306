"""Lightning callbacks around the fit of a user's module: its place in the whole training, and its metrics."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import ReduceLROnPlateau

from shared.runtime.errors import ConfigError, DivergedError
from shared.tasks.base import FitContext
from shared.tasks.custom.outputs import check_logged, outputs_of
from shared.tasks.custom.spec import CustomSpec
from shared.training.collector import logged_values


class PlaceInTraining(Callback):
    """Lets a fit go on where the earlier ones of the whole training ended.

    Parameters
    ----------
    fit : FitContext
        Lightning's epochs count from its ``epoch_offset``.
    compared : bool
        Whether the training is the twin of a federated one, and so may do only what that can.
    """

    def __init__(self, fit: FitContext, *, compared: bool = False) -> None:
        self.fit, self.compared = fit, compared

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reject what cannot be trained in parts, and move the schedules forward."""
        name = type(pl_module).__name__
        if trainer.num_devices > 1:
            raise ConfigError(
                f"task=custom trains on one device, got {trainer.num_devices}; set trainer.devices=1"
            )
        if not self.fit.is_federated and not self.compared:
            return
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau):
                raise ConfigError(
                    f"{name} schedules its learning rate by ReduceLROnPlateau, which a client that fits a few "
                    f"epochs cannot follow; choose a schedule by steps or epochs, or no configure_optimizers "
                    f"of your own and trainer.scheduler.name=plateau, which the server follows"
                )
            if self.fit.parts > 1 and config.interval == "epoch":
                raise ConfigError(
                    f"{name} schedules its learning rate by epochs, and federation.rounds_per_epoch="
                    f'{self.fit.parts} divides them; schedule by steps ("interval": "step")'
                )
            done = self.fit.epoch_offset * (
                1 if config.interval == "epoch" else int(trainer.num_training_batches)
            )
            with warnings.catch_warnings():  # torch expects that the optimiser has stepped before
                warnings.simplefilter("ignore", UserWarning)
                for _ in range(done // config.frequency):
                    config.scheduler.step()


class DeclaredMetrics(Callback):
    """Lets the declared metrics be found as ``val/name``: logged as ``val_name``, or computed by a function.

    Parameters
    ----------
    monitor : str
        The metric that chooses the best model.
    """

    def __init__(self, spec: CustomSpec, *, monitor: str) -> None:
        self.spec, self.monitor = spec, monitor
        self._pairs: list[Any] = []

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the outputs of the epoch before."""
        self._pairs.clear()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what the functions take."""
        if self.spec.functions.targets:
            with trainer.precision_plugin.predict_step_context():
                self._pairs.append(pl_module.predict_step(batch, batch_idx))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Name and compute the validation metrics."""
        found = self._name(trainer, "val")
        if self._pairs:
            outputs = outputs_of(self._pairs, of=type(pl_module).__name__)
            values = {name: self.spec.functions.mean(name, outputs) for name in self.spec.functions.targets}
            trainer.callback_metrics.update(
                {f"val/{name}": torch.tensor(value) for name, value in values.items()}
            )
            self._pairs.clear()
        check_logged(found, self.spec.logged, stage="val", of=type(pl_module).__name__)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Name the training metrics."""
        found = self._name(trainer, "train")
        stage, _, name = self.monitor.partition("/")
        if stage == "train":
            check_logged(found, (name,), stage="train", of=type(pl_module).__name__)

    def _name(self, trainer: L.Trainer, stage: str) -> dict[str, float]:
        metrics: dict[str, Any] = trainer.callback_metrics
        found = logged_values(metrics, stage=stage)
        for name, value in found.items():
            underscored = metrics.get(f"{stage}_{name}")
            if underscored is not None:
                metrics[f"{stage}/{name}"] = underscored
            if name == "loss" and not math.isfinite(value):
                raise DivergedError(
                    f"{stage}/loss is {value} in epoch {trainer.current_epoch + 1}: the training diverged; "
                    f"lower the learning rate, or set trainer.gradient_clip"
                )
        return found


def one_optimizer(module: L.LightningModule) -> Callable[[], Any]:
    """A module's ``configure_optimizers``, which raises a `ConfigError` where it gives several."""
    configure = module.configure_optimizers

    def configure_one() -> Any:
        configured = configure()
        several = configured if isinstance(configured, list | tuple) else [configured]
        if len(several) == 2 and isinstance(several[0], list | tuple):  # optimisers and schedules
            several = several[0]
        if len(several) != 1 or several[0] is None:
            raise ConfigError(
                f"{type(module).__name__} configures {len(several) if several[0] else 0} optimisers; "
                f"task=custom trains with one (its parameter groups may have settings of their own)"
            )
        return configured

    return configure_one
