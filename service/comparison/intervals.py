"""Confidence intervals: of a mean over seeds, and of a difference of two independent proportions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

CONFIDENCE = 0.95


def t_interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Student's interval of a mean.

    Parameters
    ----------
    values : sequence of float
        Two or more.
    """
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * stdev(values) / math.sqrt(len(values))
    mean = fmean(values)
    return mean - half, mean + half


def proportions_interval(
    one: float, num_one: int, other: float, num_other: int, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Newcombe's interval of the difference of two independent proportions, valid near 0 and 1 too.

    Parameters
    ----------
    one, other : float
        Proportions.
    num_one, num_other : int
        Numbers of examples.

    Returns
    -------
    tuple of float
        Ends of the interval of ``one - other``.

    References
    ----------
    Newcombe (1998), Interval Estimation for the Difference Between Independent Proportions, method 10.
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    low_one, high_one = _wilson(one, num_one, z)
    low_other, high_other = _wilson(other, num_other, z)
    difference = one - other
    return (
        difference - math.hypot(one - low_one, high_other - other),
        difference + math.hypot(high_one - one, other - low_other),
    )


def _wilson(share: float, count: int, z: float) -> tuple[float, float]:
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    return (middle - half) / whole, (middle + half) / whole
