"""`LitClassifier`: one LightningModule (network, loss, metrics, optimiser) for both modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from shared.config.config import Config
from shared.config.trainer import SchedulerConfig
from shared.data.datamodule import ImageDataModule
from shared.metrics.catalogue import progress_metrics
from shared.metrics.classification import ClassificationMetrics
from shared.model.backbones import build_network, frozen_modules
from shared.model.prediction import of_all_devices, outputs_of
from shared.runtime.errors import ConfigError, DivergedError
from shared.runtime.seeding import derive_seed


class LitClassifier(L.LightningModule):
    """A classifier that trains the same way on all rows and on one client's.

    Parameters
    ----------
    partition_id : int
        Enters the seed of dropout and augmentation.
    total_epochs : int, optional
        Length of the whole training, over which the learning rate moves; ``trainer.max_epochs`` without it.
    epoch_offset : int
        Epochs of it that came before this fit.
    lr_scale : float
        Factor on the learning rate, of a plateau that the server has seen.
    class_weights : sequence of float, optional
        One weight a class in the training loss.

    Raises
    ------
    ConfigError
        ``trainer.monitor`` or ``trainer.threshold`` does not fit a model with so many classes.
    WeightsError
        ``model.weights`` cannot be loaded.
    """

    def __init__(
        self,
        cfg: Config,
        *,
        num_classes: int,
        partition_id: int = 0,
        total_epochs: int | None = None,
        epoch_offset: int = 0,
        lr_scale: float = 1.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        _check_settings(cfg, num_classes)
        self.cfg, self.num_classes = cfg, num_classes
        self.network = build_network(cfg, num_classes=num_classes)
        if cfg.trainer.compile:
            self.network.compile()  # in place: its state_dict keeps its names
        self.judge = ClassificationMetrics(num_classes)
        # Not persistent: a buffer of the loss must not enter the state_dict, where it would be averaged.
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", None, persistent=False)
        self.log_prior: Tensor | None
        self.register_buffer("log_prior", None, persistent=False)
        self._answers: list[tuple[Tensor, Tensor, Tensor]] = []
        self.place(
            partition_id=partition_id,
            total_epochs=total_epochs,
            epoch_offset=epoch_offset,
            lr_scale=lr_scale,
            class_weights=class_weights,
        )

    def place(
        self,
        *,
        partition_id: int,
        total_epochs: int | None,
        epoch_offset: int,
        lr_scale: float,
        class_weights: Sequence[float] | None,
    ) -> None:
        """Say where the next fit stands: whose rows, and which part of the whole training.

        Parameters
        ----------
        partition_id, total_epochs, epoch_offset, lr_scale, class_weights
            As for a new module, which is slower to make than to place anew.
        """
        self.partition_id = partition_id
        self.total_epochs = total_epochs or self.cfg.trainer.max_epochs
        self.epoch_offset, self.lr_scale = epoch_offset, lr_scale
        self.federated = total_epochs is not None
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.class_weights = weights if weights is None else weights.to(self.device)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch.

        Parameters
        ----------
        images : Tensor [B, C, H, W], float32

        Returns
        -------
        Tensor [B, classes]
        """
        logits: Tensor = self.network(images.to(self.dtype))  # its own where precision=bf16-true and the like
        return logits.float()

    def on_fit_start(self) -> None:
        """Take the shares of the classes from the rows that this fit trains on."""
        if self.cfg.trainer.logit_adjustment:
            counts = cast(ImageDataModule, self.trainer.datamodule).label_counts()  # type: ignore[attr-defined]
            # One row more of each class: a client may have none of some.
            shares = (torch.tensor(counts, dtype=torch.float64) + 1) / (sum(counts) + len(counts))
            self.log_prior = (self.cfg.trainer.logit_adjustment * shares.log()).float().to(self.device)

    def on_train_epoch_start(self) -> None:
        """Seed dropout and augmentation by (seed, partition, epoch); keep frozen parts as they are."""
        place = (self.partition_id, self.epoch_offset + self.trainer.current_epoch)
        several = self.trainer.world_size > 1  # each device draws its own
        seed = derive_seed(self.cfg.seed, *place, *((self.global_rank,) if several else ()))
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # `torch.manual_seed` looks for GPUs, for a millisecond
        else:
            torch.manual_seed(seed)
        for module in frozen_modules(self.network, self.cfg.model):
            module.eval()
        self._answers.clear()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch; the last batch of an epoch logs the epoch's metrics.

        Parameters
        ----------
        batch : tuple of Tensor [B, C, H, W] float32 and Tensor [B] int64

        Returns
        -------
        Tensor
            Scalar.
        """
        images, labels = batch
        logits = self(images)
        weight = None if self.class_weights is None else self.class_weights.float()
        loss = functional.cross_entropy(
            logits if self.log_prior is None else logits + self.log_prior,
            labels,
            weight=weight,
            label_smoothing=self.cfg.trainer.label_smoothing,
        )
        self._answers.append((logits.detach(), labels, loss.detach()[None] * len(labels)))
        if self.trainer.is_last_batch:
            self._log_epoch("train")
            self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the training answers, which are logged by now."""
        self._answers.clear()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Collect the answers of a batch.

        Parameters
        ----------
        batch : tuple of Tensor [B, C, H, W] float32 and Tensor [B] int64
        """
        images, labels = batch
        logits = self(images)
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        self._answers.append((logits, labels, loss[None]))

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        if self._answers:
            self._log_epoch("val")

    def configure_optimizers(self) -> Any:
        """The optimiser, and the schedule at this fit's place in the whole training.

        Returns
        -------
        Optimizer or dict
            As Lightning takes them.
        """
        cfg = self.cfg.trainer.optimizer
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        lr = cfg.lr * self.lr_scale
        # One pass over the weights instead of several. On a GPU torch has its own way, and gradients that are
        # scaled for 16 bits cannot be clipped with this one.
        fused = self.device.type == "cpu" and not self.cfg.trainer.precision.startswith("16")
        optimizer: torch.optim.Optimizer
        if cfg.name == "sgd":
            optimizer = torch.optim.SGD(
                parameters,
                lr=lr,
                momentum=cfg.momentum,
                nesterov=cfg.nesterov,
                weight_decay=cfg.weight_decay,
                fused=fused,
            )
        else:
            optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=cfg.weight_decay, fused=fused)
        schedule = self.cfg.trainer.scheduler
        if schedule.name == "none" or (schedule.name == "plateau" and self.federated):
            return optimizer  # a plateau of a federated run is seen by the server, which sends lr_scale
        if schedule.name == "plateau":
            plateau = ReduceLROnPlateau(optimizer, factor=schedule.factor, patience=schedule.patience)
            monitor = "val/loss" if self.trainer.enable_validation else "train/loss"
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": monitor}}
        # Asking for all steps of this fit makes Lightning count the batches, which it has not done by now.
        steps = int(self.trainer.estimated_stepping_batches) // (self.trainer.max_epochs or 1)

        def factor(step: int) -> float:
            return lr_factor(schedule, (self.epoch_offset * steps + step) / (self.total_epochs * steps))

        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the settings beside the weights, for whoever goes on from here."""
        checkpoint["config"] = self.cfg.snapshot()

    def _log_epoch(self, stage: str) -> None:
        logits, labels, losses = (
            of_all_devices(torch.cat(parts)) for parts in zip(*self._answers, strict=True)
        )
        self._answers.clear()
        loss = float(losses.sum() / len(labels))
        if not math.isfinite(loss):
            raise DivergedError(
                f"{stage}/loss is {loss} in epoch {self.trainer.current_epoch + 1}: the training diverged; "
                f"lower trainer.optimizer.lr (now {self.cfg.trainer.optimizer.lr}) or set trainer.gradient_clip"
            )
        values = self.judge.values(outputs_of(logits, labels))
        for name, value in {**values, "loss": loss}.items():  # the one that was minimised, with its smoothing
            shown = name in progress_metrics()
            self.log(
                f"{stage}/{name}",
                value,
                on_step=False,
                on_epoch=True,
                batch_size=1,
                sync_dist=True,
                prog_bar=shown,
            )


def lr_factor(schedule: SchedulerConfig, progress: float) -> float:
    """The learning rate, as a share of the highest one; a pure function, so that any round can start anywhere.

    Parameters
    ----------
    schedule : SchedulerConfig
        ``cosine``: from 1 to 0. ``one_cycle``: from 1/25 up to 1 within ``warmup``, then down to 1e-5, both
        along a cosine (Smith and Topin 2018, with the constants of torch's OneCycleLR).
    progress : float
        Share of the whole training that is done; values above 1 count as 1.
    """
    progress = min(progress, 1.0)
    if schedule.name == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    assert schedule.name == "one_cycle"
    if progress < schedule.warmup:
        return _cosine(1 / 25, 1.0, progress / schedule.warmup)
    return _cosine(1.0, 1e-5, (progress - schedule.warmup) / (1 - schedule.warmup))


def balanced_weights(label_counts: Sequence[int]) -> list[float]:
    """Weights by inverse frequency, whose mean over the rows is 1.

    Parameters
    ----------
    label_counts : sequence of int
        Training rows of each class.

    Returns
    -------
    list of float
        0 for a class that does not occur.
    """
    present = sum(count > 0 for count in label_counts)
    total = sum(label_counts)
    return [total / (present * count) if count else 0.0 for count in label_counts]


def _check_settings(cfg: Config, num_classes: int) -> None:
    trainer = cfg.trainer
    if trainer.threshold != 0.5 and num_classes != 2:
        raise ConfigError(
            f"trainer.threshold={trainer.threshold} is for 2 classes, got {num_classes} classes; set it to 0.5"
        )
    judge = ClassificationMetrics(num_classes)
    monitor, names = trainer.monitor or judge.monitor, judge.names
    known = [f"{stage}/{name}" for stage in ("train", "val") for name in names]
    if monitor not in known:
        raise ConfigError(f"trainer.monitor={monitor} is not measured; choose one of {', '.join(known)}")
    if trainer.optimizer.name == "sgd" and trainer.optimizer.nesterov and not trainer.optimizer.momentum:
        raise ConfigError("trainer.optimizer.nesterov=true needs trainer.optimizer.momentum above 0, got 0")


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
