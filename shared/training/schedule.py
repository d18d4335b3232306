"""How the learning rate moves over the whole of a training."""

from __future__ import annotations

import math

from shared.config.trainer import SchedulerConfig


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


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
