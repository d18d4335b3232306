"""`row_keys` and `races`: draw a row by its weight, the same one however the rows are divided among clients.

Each row draws the time of an exponential race from the seed and its own content, and the earliest wins: the
chance of a row is its weight's share of all weights (Efraimidis and Spirakis 2006). No client needs to know
the rows or the weights of another. Equal rows draw equal times, so they count as one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.clusters.distances import Floats

Keys = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def row_keys(rows: Floats) -> Keys:
    """A key of the content of each row.

    Parameters
    ----------
    rows : ndarray [n, d], float64
        Finite.
    """
    keys = np.zeros(len(rows), dtype=np.uint64)
    for column in rows.T:
        bits = np.ascontiguousarray(column + 0.0).view(np.uint64)  # -0.0 is 0.0
        keys = _mixed(keys * _FIRST + bits)
    return keys


def races(keys: Keys, weights: Floats, *, seed: int, draw: int) -> Floats:
    """When each row arrives; the earliest is drawn.

    Parameters
    ----------
    weights : ndarray [n], float64
        Not negative; of weight 0 a row never arrives.
    draw : int
        Which of the draws with this seed.
    """
    start = _mixed(np.array([seed, draw], dtype=np.int64).view(np.uint64))
    mixed = _mixed(keys ^ _mixed(start[:1] * _FIRST + start[1:]))
    chances = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    times = np.full(len(keys), np.inf)
    np.divide(-np.log(chances), weights, out=times, where=weights > 0)
    return times


def _mixed(values: Keys) -> Keys:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    values = values + _STEP
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))
