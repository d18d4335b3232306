"""`MetricsCollector`: the Lightning callback that turns logged metrics into points, in both modes."""

from __future__ import annotations

import time

import lightning as L
from lightning.pytorch.callbacks import Callback

from shared.metrics.point import MetricPoint, MetricSink, Stage


class MetricsCollector(Callback):
    """Hand each epoch's metrics to a sink, as soon as they are known.

    Parameters
    ----------
    round : int, optional
        Server round, on a client.
    client_id : int, optional
        The partition, on a client.
    """

    def __init__(self, sink: MetricSink, *, round: int | None = None, client_id: int | None = None) -> None:
        self.sink, self.round, self.client_id = sink, round, client_id
        self._began = 0.0

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
        logged = {
            key.removeprefix(f"{stage}/"): float(value)
            for key, value in trainer.callback_metrics.items()
            if key.startswith(f"{stage}/")
        }
        self.sink.add(
            [
                MetricPoint(
                    stage=stage,
                    name=name,
                    value=value,
                    epoch=trainer.current_epoch + 1,
                    round=self.round,
                    client_id=self.client_id,
                    num_examples=count(stage) if count else None,
                )
                for name, value in {**logged, **more}.items()
            ]
        )
