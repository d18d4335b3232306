"""Lightning callbacks of a centralized training: checkpoints, early stopping, weight averaging, progress."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)

from shared.config.config import Config
from shared.metrics.catalogue import LOSS
from shared.metrics.point import MetricSink
from shared.tasks.selection import Choice
from shared.training.collector import MetricsCollector

EpochProgress = Callable[[int, str], None]  # takes the epochs done, and a note

WHEN: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}


def build_callbacks(
    cfg: Config,
    *,
    choice: Choice,
    sink: MetricSink,
    folder: Path,
    on_epoch: EpochProgress | None = None,
) -> list[Callback]:
    """Build the callbacks of a centralized training, in the order in which they run.

    Parameters
    ----------
    choice : Choice
        What chooses the best model; nothing does where it cannot be measured.
    folder : Path
        For the checkpoints ``best.ckpt`` and ``last.ckpt``.
    on_epoch : callable, optional
        A progress display in place of a bar or lines.
    """
    (monitor, mode), measured = choice.monitor, choice.measured
    callbacks: list[Callback] = [KeepSigterm()]
    if cfg.trainer.ema_decay is not None:
        callbacks.append(EMAWeightAveraging(decay=cfg.trainer.ema_decay))
    callbacks += [KeepConfig(cfg), MetricsCollector(sink)]
    stopping = cfg.trainer.early_stopping
    if stopping.enabled and measured:
        callbacks.append(
            Patience(
                monitor,
                mode=mode,
                patience=stopping.patience,
                min_delta=stopping.min_delta,
                check_on_train_epoch_end=True,
            )
        )
    callbacks += [
        Checkpoint(folder, filename="best", monitor=monitor if measured else None, mode=mode, **WHEN),
        Checkpoint(folder, filename="last", **WHEN),  # after the best, so that it stores which one that is
    ]
    if on_epoch is not None:
        callbacks.append(OnEpoch(on_epoch, monitor))
    elif cfg.trainer.progress:
        callbacks.append(RichProgressBar() if sys.stderr.isatty() else EpochLines(monitor))
    return callbacks


def stop_reason(callbacks: Sequence[Callback]) -> str | None:
    """Why a training stopped before its last epoch."""
    stopping = next((callback for callback in callbacks if isinstance(callback, Patience)), None)
    if stopping is None or not stopping.stopped_epoch or stopping.stopping_reason_message is None:
        return None
    return stopping.stopping_reason_message.removesuffix(" Signaling Trainer to stop.")


class Checkpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, for a run that may start from another run's checkpoint."""

    @property
    def state_key(self) -> str:
        """Key of its state in a checkpoint."""
        return f"{type(self).__qualname__}-{self.filename}"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore which model was best, unless the checkpoint is another run's, whose files are elsewhere."""
        if state_dict["dirpath"] == self.dirpath:
            super().load_state_dict(state_dict)


class Patience(EarlyStopping):
    """Lightning's EarlyStopping that keeps the configured patience when a checkpoint is loaded."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore best score and wait count, but neither the patience nor that it was exhausted."""
        now = self.state_dict()
        seen = {name: state_dict[name] for name in ("best_score", "wait_count")}
        super().load_state_dict({**now, **seen})


class KeepSigterm(Callback):
    """Restores our SIGTERM handler: Lightning's waits for processes that wait for this one."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore the handler after Lightning has set its own."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


class KeepConfig(Callback):
    """Keeps the settings in checkpoints beside the weights, for whoever resumes from there."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add them."""
        checkpoint["config"] = self.cfg.snapshot()


class EpochLines(Callback):
    """Prints one line per epoch if standard error is not a terminal.

    Parameters
    ----------
    monitor : str
        Metric to print beside the losses.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the line."""
        if not trainer.is_global_zero:
            return
        shown = dict.fromkeys((f"train/{LOSS}", f"val/{LOSS}", self.monitor))
        values = [
            f"{key} {float(trainer.callback_metrics[key]):.4f}"
            for key in shown
            if key in trainer.callback_metrics
        ]
        print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  " + "  ".join(values), file=sys.stderr)


class OnEpoch(Callback):
    """Tells a progress display about each epoch.

    Parameters
    ----------
    monitor : str
        The metric in the note.
    """

    def __init__(self, tell: EpochProgress, monitor: str) -> None:
        self.tell, self.monitor = tell, monitor

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell."""
        value = trainer.callback_metrics.get(self.monitor)
        self.tell(trainer.current_epoch + 1, "" if value is None else f"{self.monitor} {float(value):.4f}")
