"""`gap_rows`: the federated gap as a finished comparison has stored it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.metrics.gap import GapRow


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
    return [GapRow.from_json(stored) for stored in summary.get("gap") or []]
