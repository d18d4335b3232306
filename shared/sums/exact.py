"""Exact sums: values rounded to multiples of a power of two, a column's own, and added up as whole numbers.

Floating-point sums depend on their order, so a sum over clients would differ from the pooled one in its last
bits. Whole numbers add up exactly. The step of a column follows from the number of all rows and from the power
of two above its largest value, so nobody needs to tell a value: with n rows it is that power times n / 2**60,
which for a million rows is 1e-12 of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST, MOST = -400, 400  # exponents of values: squares of larger ones overflow, smaller ones are taken for 0
_BITS = 60  # of a sum


def exponents_of(rows: Floats) -> Ints:
    """For each column, the least power of two above all magnitudes, as its exponent.

    Parameters
    ----------
    rows : ndarray [n, d], float64
        Finite.

    Returns
    -------
    ndarray [d], int64
        Above `MOST` where a value is too large to be squared.
    """
    largest = np.abs(rows).max(axis=0, initial=0.0)
    exponents = np.frexp(largest)[1].astype(np.int64)
    return np.where(largest == 0.0, LEAST, np.maximum(exponents, LEAST))


def shifts_for(exponents: Ints, *, rows: int) -> Ints:
    """By which power of two values are multiplied before they are rounded, so that sums of all are exact."""
    return _BITS - int(rows).bit_length() - exponents


def whole_sums(rows: Floats, nearest: NDArray[np.intp], shifts: Ints, *, clusters: int) -> Ints:
    """Sums [k, d] of the rows of each cluster, as whole numbers."""
    sums = np.zeros((clusters, rows.shape[1]), dtype=np.int64)
    for place in range(rows.shape[1]):
        whole = np.rint(np.ldexp(rows[:, place], int(shifts[place]))).astype(np.int64)
        np.add.at(sums[:, place], nearest, whole)
    return sums


def means_of(sums: Ints, counts: Ints, shifts: Ints) -> Floats:
    """Means [k, d] from sums and counts; of an empty cluster 0."""
    divided = sums / np.maximum(counts, 1)[:, None]
    return np.ldexp(divided, -shifts.astype(np.int32))
