"""The configured optimiser and schedule, at a fit's place in the whole training."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from shared.config.trainer import TrainerConfig
from shared.tasks.base import FitContext
from shared.training.schedule import lr_factor


def configure_optimizer(module: L.LightningModule, *, cfg: TrainerConfig, fit: FitContext) -> Any:
    """The optimiser of ``trainer.optimizer``, and the schedule of ``trainer.scheduler``.

    Returns
    -------
    Optimizer or dict
        As Lightning takes them of ``configure_optimizers``.
    """
    optimizer = _optimizer(module, cfg=cfg, lr=cfg.optimizer.lr * fit.lr_scale)
    schedule = cfg.scheduler
    if schedule.name == "none" or (schedule.name == "plateau" and fit.is_federated):
        return optimizer  # a plateau of a federated run is seen by the server, which sends lr_scale
    if schedule.name == "plateau":
        plateau = ReduceLROnPlateau(optimizer, factor=schedule.factor, patience=schedule.patience)
        monitor = "val/loss" if module.trainer.enable_validation else "train/loss"
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": monitor}}
    # Asking for all steps of this fit makes Lightning count the batches, which it has not done by now.
    steps = int(module.trainer.estimated_stepping_batches) // (module.trainer.max_epochs or 1)
    total = fit.total_epochs or cfg.max_epochs

    def factor(step: int) -> float:
        return lr_factor(schedule, (fit.epoch_offset * steps + step) / (total * steps))

    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"},
    }


def _optimizer(module: L.LightningModule, *, cfg: TrainerConfig, lr: float) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    # One pass over the weights instead of several. On a GPU torch has its own way, and gradients that are
    # scaled for 16 bits cannot be clipped with this one.
    fused = module.device.type == "cpu" and not cfg.precision.startswith("16")
    if cfg.optimizer.name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=cfg.optimizer.weight_decay, fused=fused)
    return torch.optim.SGD(
        parameters,
        lr=lr,
        momentum=cfg.optimizer.momentum,
        nesterov=cfg.optimizer.nesterov,
        weight_decay=cfg.optimizer.weight_decay,
        fused=fused,
    )
