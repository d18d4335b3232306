"""`gap_record`: one metric of a comparison in JSON's types, for the API, `show`, the export and Python."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from shared.metrics.gap import GapRow, Interval, Verdict, stored_gap
from shared.metrics.headline import (
    counted,
    format_gap,
    format_interval,
    format_value,
    row_digits,
    stored_headline,
    summary_sentence,
)

# Positive is up, to the right, red and worse; negative is down, to the left, green and better.
MARKS: dict[Verdict, str] = {
    "worse": "▲ worse",
    "better": "▼ better",
    "equal": "= equal",
    "unclear": "≈ unclear",
    "undefined": "undefined",
}
NOTE = "Gap: what federation costs on the same test set; positive is worse (▲), negative better (▼)."


def mark(row: GapRow) -> str:
    """The verdict in a word, with a sign."""
    return "no interval" if row.verdict == "undefined" and row.has_value else MARKS[row.verdict]


def gap_record(row: GapRow) -> dict[str, Any]:
    """One metric with its gap, in numbers and as every reader is shown them.

    Returns
    -------
    dict
        See `service.api.chart_schemas.FinalGap`: ``gap``, ``low`` and ``high`` are the cost, of which
        positive is worse; None where a number is not defined.
    """
    digits, cost = row_digits(row), row.cost
    gap, _, interval = format_gap(row).partition(" ")
    return {
        "metric": row.metric,
        "label": row.title,
        "pooled": _finite(row.pooled.value),
        "federated": _finite(row.federated.value),
        "local": _finite(row.local.value) if row.local else None,
        "gap": _finite(cost.value),
        "low": _finite(cost.low),
        "high": _finite(cost.high),
        "better": row.better,
        "confidence": row.confidence,
        "verdict": row.verdict,
        "groups": row.groups or None,
        "group": row.noun,
        "seeds": row.seeds or None,
        "text": {
            "pooled": format_value(row.pooled.value, digits=digits),
            "federated": format_value(row.federated.value, digits=digits),
            "local": format_value(row.local.value, digits=digits) if row.local else None,
            "gap": gap,
            "interval": interval,
            "pooled_interval": _ends(row.pooled, digits=digits),
            "federated_interval": _ends(row.federated, digits=digits),
            "verdict": mark(row),
            "counted": counted(row),
        },
    }


def gap_columns(rows: Sequence[GapRow]) -> dict[str, list[Any]]:
    """The gap table by column, for files: numbers are not rounded, and NaN where they are not defined.

    Returns
    -------
    dict of str to list
        ``gap``, ``gap_low`` and ``gap_high`` are the cost, of which positive is worse. ``groups`` and ``seeds``
        are None where they are not known.
    """
    columns: dict[str, list[Any]] = {
        "metric": [row.metric for row in rows],
        "label": [row.title for row in rows],
    }
    nothing = Interval(math.nan, math.nan, math.nan)
    for name in ("pooled", "federated", "local", "cost"):
        shown = "gap" if name == "cost" else name
        intervals = [getattr(row, name) or nothing for row in rows]
        columns[shown] = [one.value for one in intervals]
        columns[f"{shown}_low"] = [one.low for one in intervals]
        columns[f"{shown}_high"] = [one.high for one in intervals]
    for name in ("better", "confidence", "verdict"):
        columns[name] = [getattr(row, name) for row in rows]
    columns["groups"] = [row.groups or None for row in rows]
    columns["group"] = [row.noun for row in rows]
    columns["seeds"] = [row.seeds or None for row in rows]
    return columns


def gap_report(summary: Mapping[str, Any], *, num_clients: int, tested: str = "") -> dict[str, Any] | None:
    """The gap of a comparison from the summary of its run: the headline, its sentence and all metrics.

    Parameters
    ----------
    tested : str
        See `shared.metrics.headline.summary_sentence`.

    Returns
    -------
    dict or None
        ``metric`` (the headline), ``sentence`` and ``rows``; None where no gap was measured (yet).
    """
    first = stored_headline(summary)
    if first is None:
        return None
    rows = stored_gap(summary)
    return {
        "metric": first.metric,
        "sentence": summary_sentence(first, num_clients=num_clients, tested=tested, rows=rows),
        "rows": [gap_record(row) for row in rows],
    }


def _ends(interval: Interval, *, digits: int) -> str:
    return format_interval(interval, digits=digits).partition(" ")[2]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
