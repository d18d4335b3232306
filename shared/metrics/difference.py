"""`difference_record`: one metric of two models, and their difference, in JSON's types and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from shared.metrics.gap import GapRow, Interval
from shared.metrics.headline import counted, format_interval, format_value, row_digits


def difference_record(row: GapRow) -> dict[str, Any]:
    """One metric of two models.

    Parameters
    ----------
    row : GapRow
        Of which ``pooled`` is the first model, ``federated`` the second.

    Returns
    -------
    dict
        ``difference`` is the second minus the first, with the ends ``low`` and ``high`` of its interval; None
        where it is not defined. ``verdict`` says whether the second is ``better``, ``worse``, ``equal``,
        ``unclear`` (the interval includes 0) or ``undefined``.
    """
    difference = Interval(-row.gap.value, -row.gap.high, -row.gap.low)
    digits = row_digits(row)
    return {
        "metric": row.metric,
        "label": row.title,
        "first": _finite(row.pooled.value),
        "second": _finite(row.federated.value),
        "difference": _finite(difference.value),
        "low": _finite(difference.low),
        "high": _finite(difference.high),
        "better": row.better,
        "confidence": row.confidence,
        "verdict": row.verdict,
        "text": {
            "first": format_value(row.pooled.value, digits=digits),
            "second": format_value(row.federated.value, digits=digits),
            "difference": format_interval(difference, signed=True, digits=digits),
            "counted": counted(row),
        },
    }


def difference_sentence(records: Sequence[dict[str, Any]], *, first: str, second: str) -> str:
    """The result in one sentence, of the first metric.

    Parameters
    ----------
    first, second : str
        What the models are called.
    """
    head = records[0]
    text, label = head["text"], head["label"]
    words = {
        "better": f"{second} is better",
        "worse": f"{second} is worse",
        "equal": "both are equal",
        "unclear": "the difference may be 0",
        "undefined": "there is no interval",
    }[head["verdict"]]
    sure = f"{100 * head['confidence']:g} % CI" + (f", {text['counted']}" if text["counted"] else "")
    return (
        f"{label}: {text['second']} ({second}) against {text['first']} ({first}), {text['difference']} "
        f"({sure}): {words}."
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
