"""`ClientSummary`: how one metric spreads over the clients of a federation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.metrics.spec import Better


@dataclass(frozen=True)
class ClientSummary:
    """How one metric spreads over the clients; clients without a value (NaN) are left out."""

    worst_name: str
    worst: float
    best_name: str
    best: float
    median: float
    spread: float


def per_client_summary(values: Mapping[str, float], *, better: Better | None = "higher") -> ClientSummary:
    """The worst, median and best client, and how far they lie apart.

    Parameters
    ----------
    values : mapping of str to float
        A metric by the client's name.
    better : {"higher", "lower"} or None
        Without a better direction the lowest value counts as the worst.

    Returns
    -------
    ClientSummary
        Its spread is the largest minus the smallest value; of equal clients, the first is named.
    """
    defined = {name: value for name, value in values.items() if not np.isnan(value)}
    if not defined:
        return ClientSummary("", np.nan, "", np.nan, np.nan, np.nan)
    low, high = min(defined, key=defined.__getitem__), max(defined, key=defined.__getitem__)
    worst, best = (high, low) if better == "lower" else (low, high)
    return ClientSummary(
        worst_name=worst,
        worst=defined[worst],
        best_name=best,
        best=defined[best],
        median=float(np.median(list(defined.values()))),
        spread=defined[high] - defined[low],
    )
