"""What the clients' aggregates decide after a round: the best model, the learning rate, and whether to stop."""

from __future__ import annotations

from collections.abc import Mapping

from federated.server.checkpoint import Progress
from shared.config.trainer import EarlyStoppingConfig, SchedulerConfig, TrainerConfig
from shared.metrics.catalogue import LOSS
from shared.metrics.spec import Mode
from shared.runtime.counts import count_of
from shared.tasks.selection import Monitor, fallback

_PLATEAU_THRESHOLD = 1e-4  # as in torch's ReduceLROnPlateau, which a centralized run uses


def judge_round(
    progress: Progress,
    *,
    aggregates: Mapping[str, Mapping[str, float]],
    cfg: TrainerConfig,
    monitor: Monitor,
) -> str | None:
    """Update a run's progress by the same rules as a centralized run's callbacks.

    Parameters
    ----------
    progress : Progress
        Its ``round`` is the one that has ended; changed in place.
    aggregates : mapping of str to mapping
        The clients' aggregates: stage to name to value.
    monitor : Monitor
        As the run was begun with.

    Returns
    -------
    str or None
        Why to stop, by ``trainer.early_stopping``.
    """
    monitor = current_monitor(progress, aggregates=aggregates, cfg=cfg, monitor=monitor)
    mode = monitor.mode
    value = aggregates.get(monitor.stage, {}).get(monitor.name)
    _choose(progress, value, mode=mode)
    loss = aggregates.get("val", {}).get("loss")
    if cfg.scheduler.name == "plateau" and loss is not None:
        _slow_down(progress, loss, cfg=cfg.scheduler)
    if value is None or not _is_stale(progress, value, cfg=cfg.early_stopping, mode=mode):
        return None
    return (
        f"{monitor.key} did not improve in the last {count_of(progress.stale_rounds, 'round')}; "
        f"best {progress.best_value:.4f} in round {progress.best_round}"
    )


def current_monitor(
    progress: Progress, *, aggregates: Mapping[str, Mapping[str, float]], cfg: TrainerConfig, monitor: Monitor
) -> Monitor:
    """The monitor of a round; the first in which a client evaluated decides whether the task's own gives way.

    From then on it stays: values of two metrics are never compared.
    """
    measured = aggregates.get(monitor.stage, {})
    if progress.fallback is None and measured:
        stays = cfg.monitor is not None or progress.best_value is not None or monitor.name in measured
        progress.fallback = not stays and LOSS in measured
    return fallback(monitor) if progress.fallback else monitor


def _choose(progress: Progress, value: float | None, *, mode: Mode) -> None:
    if value is None:
        if progress.best_value is None:  # nobody has ever evaluated: the newest model is the best known
            progress.best_round = progress.round
    elif progress.best_value is None or _above(value, progress.best_value, mode=mode):
        progress.best_round, progress.best_value = progress.round, value


def _slow_down(progress: Progress, loss: float, *, cfg: SchedulerConfig) -> None:
    if progress.plateau_best is None or loss < progress.plateau_best * (1 - _PLATEAU_THRESHOLD):
        progress.plateau_best, progress.plateau_stale = loss, 0
        return
    progress.plateau_stale += 1
    if progress.plateau_stale > cfg.patience:
        progress.lr_scale *= cfg.factor
        progress.plateau_stale = 0


def _is_stale(progress: Progress, value: float, *, cfg: EarlyStoppingConfig, mode: Mode) -> bool:
    best = progress.stopping_best
    if best is None or _above(value, best, mode=mode, by=cfg.min_delta):
        progress.stopping_best, progress.stale_rounds = value, 0
    else:
        progress.stale_rounds += 1
    return progress.stale_rounds >= cfg.patience


def _above(value: float, best: float, *, mode: Mode, by: float = 0.0) -> bool:
    return value - by > best if mode == "max" else value + by < best
