"""The headline of a comparison: which metric stands for all, and the sentence that states its gap.

The terminal, the report and the page take the metric, the numbers and the words from here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from shared.metrics.gap import GapRow, Interval, verdict
from shared.metrics.spec import Better

DIGITS = 3  # decimals
SMALL = 0.01  # below it, decimals are counted from the first digit that is not 0


def headline(rows: Sequence[GapRow]) -> GapRow:
    """The row that stands for all: the first, in the order of the task's metrics, whose gap is defined.

    Parameters
    ----------
    rows : sequence of GapRow
        Not empty.
    """
    return next((row for row in rows if row.verdict != "undefined"), rows[0])


def summary_sentence(rows: Sequence[GapRow], *, num_clients: int, tested: str = "") -> str:
    """The result in one sentence, with its interval, and what is tested in another.

    Parameters
    ----------
    rows : sequence of GapRow
        Not empty; of one row, the sentence is about that one.
    tested : str
        After which epochs and rounds, see `shared.tracking.twins.when_tested`.
    """
    sentence = _sentence(rows, num_clients=num_clients)
    return f"{sentence} {tested}" if tested else sentence


def _sentence(rows: Sequence[GapRow], *, num_clients: int) -> str:
    row = headline(rows)
    digits = row_digits(row)
    federated, pooled = (format_value(one.value, digits=digits) for one in (row.federated, row.pooled))
    clients = "1 client" if num_clients == 1 else f"{num_clients} clients"
    start = f"Federated training with {clients} reaches {row.title} {federated}"
    match row.verdict:
        case "undefined" if not math.isnan(row.gap.value):
            gap = format_value(row.gap.value, signed=True, digits=digits)
            return (
                f"{start}; pooled training reaches {pooled}. The gap {gap} has no interval: this metric is one "
                f"number a run, and only several seeds say how sure it is (compare.seeds=[1,2,3])."
            )
        case "undefined":
            return f"{start}; its gap to pooled training ({pooled}) is not defined."
        case "equal":
            return f"{start}, equal to pooled training."
        case "unclear":
            gap = format_interval(row.gap, signed=True, digits=digits)
            return (
                f"{start}; pooled training reaches {pooled}, and the gap {gap} is not clearly different from 0."
            )
    return f"{start}, {row_distance(row)} pooled training{meaning(row.gap, row.better)}."


def row_distance(row: GapRow) -> str:
    """How far federated is from pooled in one metric, as in `summary_sentence`."""
    return format_distance(row.gap, digits=row_digits(row))


def meaning(gap: Interval, better: Better | None) -> str:
    """What "below" and "above" mean for a metric of which less is better, such as ``, which is worse``.

    Parameters
    ----------
    gap : Interval
        Pooled minus federated.
    """
    word = verdict(gap, better)
    return f", which is {word}" if better == "lower" and word in ("worse", "better") else ""


def format_distance(gap: Interval, *, digits: int = DIGITS) -> str:
    """How far federated is from pooled, such as ``0.004 [0.001, 0.008] below``."""
    if gap.value < 0:
        return f"{format_interval(Interval(-gap.value, -gap.high, -gap.low), digits=digits)} above"
    return f"{format_interval(gap, digits=digits)} below"


def row_digits(row: GapRow) -> int:
    """Decimals of the numbers of a row: more where both models' values are small, as of a target in metres."""
    level = max(
        (abs(one.value) for one in (row.pooled, row.federated) if math.isfinite(one.value)), default=0.0
    )
    return DIGITS if level == 0 or level >= SMALL else DIGITS - 1 - math.floor(math.log10(level))


def format_value(value: float, *, signed: bool = False, digits: int = DIGITS) -> str:
    """A number with a fixed number of decimals, fewer of large ones.

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
    places = _places(value, digits=digits)
    text = f"{value:+,.{places}f}" if signed else f"{value:,.{places}f}"
    return text.lstrip("+-") if float(text.replace(",", "")) == 0 else text


def format_interval(interval: Interval, *, signed: bool = False, digits: int = DIGITS) -> str:
    """A value with its interval in brackets.

    Returns
    -------
    str
        Such as ``+0.004 [+0.001, +0.008]``; with one more decimal if an end would else look like zero.
    """
    if math.isnan(interval.low):
        return format_value(interval.value, signed=signed, digits=digits)
    numbers = (interval.value, interval.low, interval.high)
    small = any(0 < abs(end) < 0.5 * 10**-digits for end in (interval.low, interval.high))
    places = min(_places(number, digits=digits + small) for number in numbers)
    value, low, high = (format_value(number, signed=signed, digits=places) for number in numbers)
    return f"{value} [{low}, {high}]"


def _places(value: float, *, digits: int) -> int:
    return 0 if abs(value) >= 1000 else min(1, digits) if abs(value) >= 100 else digits
