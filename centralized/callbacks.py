"""What watches a centralized training: best checkpoint, early stopping, average of weights, progress."""

from __future__ import annotations

import sys
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)

from shared.collector import MetricsCollector
from shared.config import Config
from shared.metrics import MetricSink


def build_callbacks(cfg: Config, *, num_classes: int, sink: MetricSink, folder: Path) -> list[Callback]:
    """The callbacks of a centralized training, in the order in which they run.

    Parameters
    ----------
    cfg : Config
    num_classes : int
    sink : MetricSink
    folder : Path
        Of the checkpoints.

    Returns
    -------
    list of Callback
    """
    monitor, mode = cfg.trainer.monitored(num_classes)
    callbacks: list[Callback] = []
    if cfg.trainer.ema_decay is not None:
        callbacks.append(EMAWeightAveraging(decay=cfg.trainer.ema_decay))
    callbacks.append(MetricsCollector(sink))
    stopping = cfg.trainer.early_stopping
    if stopping.enabled:
        callbacks.append(
            EarlyStopping(monitor, mode=mode, patience=stopping.patience, min_delta=stopping.min_delta)
        )
    callbacks.append(
        ModelCheckpoint(
            folder, filename="best", monitor=monitor, mode=mode, save_last=True, enable_version_counter=False
        )
    )
    if cfg.trainer.progress:
        callbacks.append(RichProgressBar() if sys.stderr.isatty() else EpochLines(monitor))
    return callbacks


class EpochLines(Callback):
    """One line an epoch, where there is no terminal to draw a bar on.

    Parameters
    ----------
    monitor : str
        The metric shown beside the losses.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the line.

        Parameters
        ----------
        trainer : Trainer
        pl_module : LightningModule
        """
        if not trainer.is_global_zero:
            return
        shown = dict.fromkeys(("train/loss", "val/loss", self.monitor))
        values = [
            f"{key} {float(trainer.callback_metrics[key]):.4f}"
            for key in shown
            if key in trainer.callback_metrics
        ]
        print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  " + "  ".join(values), file=sys.stderr)
