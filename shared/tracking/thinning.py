"""Thins long curves so that their plots look the same: extremes of each stretch stay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FEWEST = 4  # the first, the last, and two between them


def thin(values: Floats, lengths: Ints, *, points: Ints | int) -> Ints:
    """Choose values of many curves at once (min-max downsampling).

    The values between the first and the last of a curve are cut into stretches of equal length; the minimum and
    the maximum of each stay. What is not finite stays only where a stretch has nothing else.

    Parameters
    ----------
    values : ndarray [N], float64
        All curves, one after the other.
    lengths : ndarray [C], int64
        Their lengths, 1 or more each.
    points : ndarray [C], int64, or int
        Most values of each curve to keep, 4 or more.

    Returns
    -------
    ndarray [K], int64
        Ascending places in ``values``; all of a curve that is short enough.
    """
    most = np.broadcast_to(np.asarray(points, dtype=np.int64), lengths.shape)
    assert (most >= FEWEST).all(), points
    curve = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    length, stretches = lengths[curve], ((most - 2) // 2)[curve]
    ends = (place == 0) | (place == length - 1)
    whole = length <= most[curve]
    inner = np.flatnonzero(~ends & ~whole)
    # Stretch k of n holds the inner values from (length - 2) * k // n on.
    stretch = (place[inner] * stretches[inner] - 1) // np.maximum(length[inner] - 2, 1)
    group = curve[inner] * (int(stretches.max(initial=0)) + 1) + stretch
    kept = inner[extremes(group, values[inner])]
    return np.union1d(np.flatnonzero(ends | whole), kept)


def extremes(group: Ints, values: Floats) -> Ints:
    """Places of the first smallest and the first largest finite value of each group.

    Parameters
    ----------
    group : ndarray [N], int64
        Which group each value is of.

    Returns
    -------
    ndarray, int64
        One or two a group; of a group without a finite value, its first.
    """
    finite = np.where(np.isfinite(values), values, np.nan)  # NaN is sorted behind the others
    found: list[Any] = []
    for signed in (finite, -finite):
        order = np.lexsort((signed, group))
        first = np.ones(len(order), dtype=bool)
        first[1:] = group[order][1:] != group[order][:-1]
        found.append(order[first])
    least, most = found
    return np.union1d(least, most[finite[most] > finite[least]])
