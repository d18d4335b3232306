"""Columns of long curves, thinned to what a chart can show: the extremes of each stretch stay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MOST_POINTS = 2000


def thinned(columns: Mapping[str, list[Any]], *, by: str = "value") -> dict[str, list[Any]]:
    """Columns of one length, with at most `MOST_POINTS` entries each.

    Parameters
    ----------
    by : str
        The column whose extremes stay; None: not finite.
    """
    values = columns[by]
    if len(values) <= MOST_POINTS:
        return dict(columns)
    import numpy as np

    from shared.tracking.thinning import thin

    numbers = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    kept = thin(numbers, np.array([len(values)]), points=MOST_POINTS).tolist()
    return {name: [column[place] for place in kept] for name, column in columns.items()}
