"""Student's intervals of a metric and of a gap, from what each group of test rows and each seed contributes.

How they keep their level where there are few groups or seeds is in `docs/results.md`, by simulation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.metrics.averages import Floats
from shared.metrics.gap import ROUNDING, Interval


@dataclass(frozen=True)
class Measured:
    """One number, and how it comes about.

    Attributes
    ----------
    of_seeds : ndarray [S], float64
        The number of each seed; the mean of them is what is told.
    left_out : ndarray [B], float64
        The mean over the seeds without the rows of each of B blocks of groups; empty of a number that is
        one a run.
    groups : int
        Independent groups of rows, B or more; of moving blocks, how many stand side by side.
    independent : float, optional
        How many of the B blocks are: without it all, of moving blocks as many as stand side by side.
    """

    of_seeds: Floats
    left_out: Floats
    groups: int
    independent: float | None = None

    @property
    def value(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.of_seeds))

    def __sub__(self, other: Measured) -> Measured:
        """The paired difference."""
        of_seeds, left_out = self.of_seeds - other.of_seeds, self.left_out - other.left_out
        return Measured(of_seeds, left_out, self.groups, self.independent)


def level_interval(measured: Measured, *, confidence: float, bounds: tuple[float, float]) -> Interval:
    """The interval of a metric of one model, on the scale on which it has no bounds: logit or logarithm.

    Parameters
    ----------
    bounds : tuple of float
        Least and largest possible value of the metric.
    """
    return _interval(measured, confidence=confidence, bounds=bounds, scaled=True)


def gap_interval(measured: Measured, *, confidence: float, bounds: tuple[float, float]) -> Interval:
    """The interval of the difference of two models in a metric.

    Parameters
    ----------
    bounds : tuple of float
        Of the metric.
    """
    reach = bounds[1] - bounds[0]
    return _interval(measured, confidence=confidence, bounds=(-reach, reach), scaled=False)


def _interval(measured: Measured, *, confidence: float, bounds: tuple[float, float], scaled: bool) -> Interval:
    """Value and ends; no ends where too few groups and seeds tell how much it varies.

    The variance is that of the jackknife over groups plus that of the mean over seeds; Student's quantile is
    the mean of both quantiles, weighted by the variances (Cochran and Cox; Satterthwaite's freedom gave twice
    the stated misses with 2 seeds). Groups that contribute unequally count as fewer (Lipsitz et al.): of 40
    patients of whom 3 have the disease, recall has the freedom of a few.

    Of moving blocks each is left out once, at every place where one begins, and the mean of what this changes
    stands for that of independent blocks (Kuensch 1989, The Jackknife and the Bootstrap for General Stationary
    Observations).

    Where nothing varies, up to ``1 - tail ** (1 / groups)`` of all groups may be otherwise without being seen:
    the interval reaches as far as that share can move the value within its bounds (the "rule of three").
    """
    value, nothing = measured.value, Interval(measured.value, np.nan, np.nan)
    seeds, blocks = len(measured.of_seeds), len(measured.left_out)
    tail = (1 - confidence) / 2
    parts: list[tuple[float, float]] = []  # variance, degrees of freedom
    if blocks:
        if measured.groups < 2 or np.isnan(measured.left_out).any():
            return nothing
        shares = measured.left_out - measured.left_out.mean()
        independent = blocks if measured.independent is None else measured.independent
        variance = (independent - 1) / blocks * float(np.sum(shares**2))
        parts.append((variance, _freedom(shares, independent=independent)))
    if seeds > 1:
        parts.append((float(np.var(measured.of_seeds, ddof=1)) / seeds, float(seeds - 1)))
    if np.isnan(value) or not parts:
        return nothing
    variance = sum(part for part, _ in parts)
    if variance**0.5 < ROUNDING:
        return _unvaried(value, groups=measured.groups if blocks else 0, tail=tail, bounds=bounds) or nothing
    from scipy.special import stdtrit  # not at the top: it takes a while to import

    half = sum(part * float(stdtrit(own, 1 - tail)) for part, own in parts) / variance**0.5
    low, high = _on_scale(value, half, bounds=bounds) if scaled else (value - half, value + half)
    return Interval(value, max(low, bounds[0]), min(high, bounds[1]))


def _freedom(shares: Floats, *, independent: float) -> float:
    # Equal to the number of groups less 1 where all vary alike, but for chance; fewer where few of them do.
    squares, fourths = float(np.sum(shares**2)), float(np.sum(shares**4))
    most = independent - 1.0
    own = independent / len(shares)  # 1, but for moving blocks
    return min(most, max(own * 3 * squares**2 / fourths - 2, 1.0)) if fourths > 0 else most


def _on_scale(value: float, half: float, *, bounds: tuple[float, float]) -> tuple[float, float]:
    below, above = value - bounds[0], bounds[1] - value
    if min(below, above) <= 0:
        return value - half, value + half
    if np.isfinite(below) and np.isfinite(above):
        odds, width = below / above, half * (1 / below + 1 / above)
        ends = (odds * np.exp(-width), odds * np.exp(min(width, 500.0)))
        low, high = (bounds[0] + (bounds[1] - bounds[0]) * end / (1 + end) for end in ends)
        return float(low), float(high)
    if np.isfinite(below):
        factor = np.exp(min(half / below, 500.0))
        return float(bounds[0] + below / factor), float(bounds[0] + below * factor)
    if np.isfinite(above):
        factor = np.exp(min(half / above, 500.0))
        return float(bounds[1] - above * factor), float(bounds[1] - above / factor)
    return value - half, value + half


def _unvaried(value: float, *, groups: int, tail: float, bounds: tuple[float, float]) -> Interval | None:
    if not groups or not np.isfinite(bounds).all():
        return None
    unseen = 1 - tail ** (1 / groups)
    low, high = (value + unseen * (end - value) for end in bounds)
    return Interval(value, float(low), float(high))
