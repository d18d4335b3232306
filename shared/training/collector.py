"""`MetricsCollector`: the Lightning callback that turns logged metrics into points, in both modes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from shared.metrics.point import MetricPoint, MetricSink, Stage


class MetricsCollector(Checkpoint):
    """Hand each epoch's metrics to a sink, as soon as they are known.

    Lightning calls those that it takes for checkpoints after the module's own ``on_train_epoch_end``, which may
    log metrics of the epoch.

    Parameters
    ----------
    round : int, optional
        Server round, on a client.
    client_id : int, optional
        The partition, on a client.
    """

    def __init__(self, sink: MetricSink, *, round: int | None = None, client_id: int | None = None) -> None:
        self.sink, self.round, self.client_id = sink, round, client_id
        self._began, self._first = 0.0, 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count a client's epochs from the beginning of its round."""
        self._first = 0 if self.round is None else trainer.current_epoch

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the epoch's clock."""
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Collect ``train/*`` and the epoch's seconds (its validation included)."""
        self._collect(trainer, "train", seconds=time.perf_counter() - self._began)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Collect ``val/*``."""
        self._collect(trainer, "val")

    def _collect(self, trainer: L.Trainer, stage: Stage, **more: float) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        # A user's own datamodule need not know how many rows it has.
        count = getattr(trainer.datamodule, "num_examples", None)  # type: ignore[attr-defined]
        logged = logged_values(trainer.callback_metrics, stage=stage)
        self.sink.add(
            [
                MetricPoint(
                    stage=stage,
                    name=name,
                    value=value,
                    epoch=trainer.current_epoch + 1 - self._first,
                    round=self.round,
                    client_id=self.client_id,
                    num_examples=count(stage) if count else None,
                )
                for name, value in {**logged, **more}.items()
            ]
        )


def logged_values(metrics: Mapping[str, Any], *, stage: str) -> dict[str, float]:
    """Metrics of a stage by name, from what a module has logged: as ``val/loss``, or as ``val_loss``.

    Of a value that was logged both by step and by epoch, Lightning keeps ``loss``, ``loss_step`` and
    ``loss_epoch``; the first is that of the epoch.

    Parameters
    ----------
    metrics : mapping of str to Tensor or float
        By Lightning's keys.
    """
    names = {key: key[len(stage) + 1 :] for key in metrics if key.startswith((f"{stage}/", f"{stage}_"))}
    known = set(names.values())
    return {
        name: float(metrics[key])
        for key, name in names.items()
        if not any(name.endswith(by) and name.removesuffix(by) in known for by in ("_step", "_epoch"))
    }
