"""`fit_client`: one client's fit, by the minimal loop or by Lightning's Trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from shared.config.trainer import TrainerConfig
from shared.tasks.base import FitContext
from shared.training.minimal_loop import lean_trainer
from shared.training.trainer import build_trainer


def fit_client(
    module: L.LightningModule,
    *,
    datamodule: Any,
    cfg: TrainerConfig,
    fit: FitContext,
    epochs: int,
    callbacks: Sequence[Callback],
) -> None:
    """Train a module in place.

    A module that declares ``minimal_loop = True`` needs no more of Lightning than `LeanTrainer` offers, whose
    epochs are those of this fit. Any other is trained by Lightning's Trainer, whose epochs and steps count from
    the beginning of the whole training.

    Parameters
    ----------
    epochs : int
        Of this fit.

    Raises
    ------
    ConfigError
    DivergedError
        The loss is not finite.
    """
    if getattr(module, "minimal_loop", False):
        lean_trainer(cfg).fit(module, datamodule=datamodule, max_epochs=epochs, callbacks=callbacks)
        return
    assert fit.total_epochs is not None
    trainer = build_trainer(
        cfg,
        max_epochs=fit.total_epochs,
        callbacks=[*callbacks, _StopAfter(fit.epoch_offset + epochs)],
        limit_val_batches=0,
    )
    vars(trainer.fit_loop.epoch_progress.current).update(processed=fit.epoch_offset)
    steps = fit.epoch_offset * len(datamodule.train_dataloader())
    trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed = steps
    trainer.fit(module, datamodule=datamodule)


class _StopAfter(Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or trainer.current_epoch + 1 >= self.epoch
