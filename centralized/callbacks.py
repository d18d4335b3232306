"""Lightning callbacks of a centralized training: checkpoints, early stopping, weight averaging, progress."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
)

from centralized.resume import ROW_KEYS
from shared.config.config import Config
from shared.metrics.catalogue import LOSS
from shared.metrics.point import MetricSink
from shared.tasks.selection import Choice
from shared.tracking.run_log import logger
from shared.training.collector import MetricsCollector

EpochProgress = Callable[[float, str], None]  # takes the epochs done, with a part of the next, and a note

_WITHIN_EPOCH_S = 30.0  # lines within an epoch
_WITHIN_BAR_S = 0.2  # updates of a display within an epoch
WHEN: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}


def build_callbacks(
    cfg: Config,
    *,
    choice: Choice,
    rows: Mapping[str, Any],
    sink: MetricSink,
    folder: Path,
    on_epoch: EpochProgress | None = None,
) -> list[Callback]:
    """Build the callbacks of a centralized training, in the order in which they run.

    Parameters
    ----------
    choice : Choice
        What chooses the best model; nothing does where it cannot be measured.
    rows : mapping
        From `shared.data.row_keys.row_keys`, for whoever resumes from a checkpoint.
    folder : Path
        For the checkpoints ``best.ckpt`` and ``last.ckpt``.
    on_epoch : callable, optional
        A progress display in place of lines.
    """
    (monitor, mode), measured = choice.monitor, choice.measured
    callbacks: list[Callback] = [KeepSigterm()]
    if cfg.trainer.ema_decay is not None:
        callbacks.append(EMAWeightAveraging(decay=cfg.trainer.ema_decay))
    callbacks += [KeepConfig(cfg, rows=rows), MetricsCollector(sink)]
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
    callbacks.append(LogEpochs(monitor))
    if on_epoch is not None:
        callbacks.append(OnEpoch(on_epoch, monitor))
    elif cfg.trainer.progress:
        callbacks.append(EpochLines(monitor))
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
    """Keeps settings and keys of the rows in checkpoints beside the weights, for whoever resumes from there."""

    def __init__(self, cfg: Config, *, rows: Mapping[str, Any]) -> None:
        self.cfg, self.rows = cfg, rows

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add them."""
        checkpoint["config"] = self.cfg.snapshot()
        checkpoint[ROW_KEYS] = dict(self.rows)


class EpochLines(Callback):
    """Prints one line per epoch, and now and then one within a long epoch.

    Parameters
    ----------
    monitor : str
        Metric to print beside the losses.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self._told = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._told = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **more: Any) -> None:
        """Print how far a long epoch is."""
        if trainer.is_global_zero and time.monotonic() - self._told >= _WITHIN_EPOCH_S:
            self._told = time.monotonic()
            part = _part_done(trainer)
            print(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {part:.0%} of its batches",
                file=sys.stderr,
            )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the line."""
        if trainer.is_global_zero:
            print(epoch_line(trainer, self.monitor), file=sys.stderr)


class LogEpochs(Callback):
    """Writes one line per epoch to the run's log.

    Parameters
    ----------
    monitor : str
        Metric to log beside the losses.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the line."""
        if trainer.is_global_zero:
            logger.info(epoch_line(trainer, self.monitor))


def epoch_line(trainer: L.Trainer, monitor: str) -> str:
    """What an epoch that has just ended measured: the losses, and the metric that chooses the model."""
    shown = dict.fromkeys((f"train/{LOSS}", f"val/{LOSS}", monitor))
    values = [
        f"{key} {float(trainer.callback_metrics[key]):.4f}" for key in shown if key in trainer.callback_metrics
    ]
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  " + "  ".join(values)


class OnEpoch(Callback):
    """Tells a progress display how far the training is.

    Parameters
    ----------
    monitor : str
        The metric in the note.
    """

    def __init__(self, tell: EpochProgress, monitor: str) -> None:
        self.tell, self.monitor = tell, monitor
        self._note, self._told = "", 0.0

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **more: Any) -> None:
        """Tell, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._told >= _WITHIN_BAR_S:
            self._told = now
            self.tell(trainer.current_epoch + min(_part_done(trainer), 0.99), self._note)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell that the batches are done."""
        if trainer.training:
            self.tell(trainer.current_epoch + 0.99, f"validating  {self._note}".rstrip())

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell, with the metric."""
        value = trainer.callback_metrics.get(self.monitor)
        self._note = "" if value is None else f"{self.monitor} {float(value):.4f}"
        self.tell(trainer.current_epoch + 1, self._note)


def _part_done(trainer: L.Trainer) -> float:
    batches = trainer.num_training_batches
    if not batches or batches == float("inf"):
        return 0.0
    return trainer.fit_loop.epoch_loop.batch_idx / batches
