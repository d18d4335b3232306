"""The headline of a comparison: which metric stands for all, and the sentence that states its gap.

The terminal, the report and the page take the metric, the numbers and the words from here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from shared.metrics.catalogue import in_order, is_known
from shared.metrics.gap import GapRow, Interval


def headline(rows: Sequence[GapRow]) -> GapRow:
    """The row that stands for all: the first whose gap is defined.

    The order is the catalogue's, since early versions stored their rows in another one. A task of somebody's
    own, whose metrics the catalogue does not have, has its own order.

    Parameters
    ----------
    rows : sequence of GapRow
        Not empty.
    """
    by_metric = {row.metric: row for row in rows}
    own = not all(map(is_known, by_metric))
    ordered = list(rows) if own else [by_metric[metric] for metric in in_order(by_metric)]
    return next((row for row in ordered if row.verdict != "undefined"), ordered[0])


def summary_sentence(rows: Sequence[GapRow], *, num_clients: int) -> str:
    """The result in one sentence, with its interval.

    Parameters
    ----------
    rows : sequence of GapRow
        Not empty; of one row, the sentence is about that one.
    """
    row = headline(rows)
    federated, pooled = format_value(row.federated.value), format_value(row.pooled.value)
    clients = "1 client" if num_clients == 1 else f"{num_clients} clients"
    start = f"Federated training with {clients} reaches {row.title} {federated}"
    match row.verdict:
        case "undefined" if not math.isnan(row.gap.value):
            gap = format_value(row.gap.value, signed=True)
            return (
                f"{start}; pooled training reaches {pooled}. The gap {gap} has no interval: this metric is one "
                f"number a run, and only several seeds say how sure it is (compare.seeds=[1,2,3])."
            )
        case "undefined":
            return f"{start}; its gap to pooled training ({pooled}) is not defined."
        case "equal":
            return f"{start}, equal to pooled training."
        case "unclear":
            gap = format_interval(row.gap, signed=True)
            return (
                f"{start}; pooled training reaches {pooled}, and the gap {gap} is not clearly different from 0."
            )
    return f"{start}, {format_distance(row.gap)} pooled training."


def format_distance(gap: Interval) -> str:
    """How far federated is from pooled, such as ``0.004 [0.001, 0.008] below``."""
    if gap.value < 0:
        return f"{format_interval(Interval(-gap.value, -gap.high, -gap.low))} above"
    return f"{format_interval(gap)} below"


def format_value(value: float, *, signed: bool = False, digits: int = 3) -> str:
    """A number with a fixed number of decimals.

    Parameters
    ----------
    signed : bool
        Write the plus of a positive number too.

    Returns
    -------
    str
        ``n/a`` for NaN; what rounds to zero has no sign.
    """
    if math.isnan(value):
        return "n/a"
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def format_interval(interval: Interval, *, signed: bool = False) -> str:
    """A value with its interval in brackets.

    Returns
    -------
    str
        Such as ``+0.004 [+0.001, +0.008]``; with a fourth decimal if an end would else look like zero.
    """
    if math.isnan(interval.low):
        return format_value(interval.value, signed=signed)
    small = any(0 < abs(end) < 0.0005 for end in (interval.low, interval.high))
    value, low, high = (
        format_value(number, signed=signed, digits=4 if small else 3)
        for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"
