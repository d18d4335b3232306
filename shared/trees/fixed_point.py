"""Fixed-point numbers: floats rounded to whole multiples of one power of two, whose sums are exact.

Floating-point sums depend on their order, so a sum over clients differs from the pooled one in its last bits,
and a tie between two splits can fall either way. Whole numbers below 2**53 add up exactly in float64, in any
order and grouping: histograms of fixed-point gradients are the same bits however the rows are divided,
subtracting a child from its parent leaves exactly the sibling, and the same whole numbers are what secure
aggregation needs.

The step is the smallest power of two at which the sum of all magnitudes stays below 2**53, with `MARGIN` bits
to spare: about 1e-15 of that sum, 1e-9 of the mean magnitude for a million rows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT = 2.0**53
# Bits between the magnitudes that a scale was chosen for and those that would no longer be exact.
MARGIN = 4
_LARGEST = 1000  # exponent of the largest scale; sums of smaller magnitude than 2**-950 lose bits


def scale_for(magnitude: float) -> float:
    """The scale for values whose magnitudes add up to ``magnitude``: a power of two.

    Parameters
    ----------
    magnitude : float
        Finite, not negative. Rounding errors of it do not matter, except next to a power of two.
    """
    _, exponent = math.frexp(magnitude)
    return math.ldexp(1.0, min(53 - MARGIN - exponent, _LARGEST))


def fits(magnitude: float, scale: float) -> bool:
    """Whether sums of values whose magnitudes add up to ``magnitude`` are exact at this scale."""
    return magnitude * scale < EXACT / 4  # half for what rounding adds, half as a reserve


def fixed(values: Floats, scale: float) -> Floats:
    """Round to whole multiples of ``1 / scale``, and return how many."""
    return np.rint(values * scale)
