"""`gap_rows`: the federated gap as a finished comparison has stored it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simulations.gap.bootstrap import GapRow, Interval


def gap_rows(summary: Mapping[str, Any]) -> list[GapRow]:
    """Read the rows of a gap.

    Parameters
    ----------
    summary : mapping
        Of a comparison's run.

    Returns
    -------
    list of GapRow
        Empty where no gap was measured.
    """
    rows = []
    for stored in summary.get("gap") or []:
        intervals = {name: _interval(stored[name]) for name in ("pooled", "federated", "gap", "local")}
        rows.append(GapRow(**{**stored, **intervals}))
    return rows


def _interval(stored: Mapping[str, float | None] | None) -> Interval | None:
    if stored is None:
        return None
    return Interval(**{name: np.nan if value is None else value for name, value in stored.items()})
