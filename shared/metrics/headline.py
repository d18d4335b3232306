"""The headline of a comparison: which metric stands for all, and the sentence that states its gap.

The terminal, the report, the page, the API, the export and Python take the metric, the numbers and the words
from here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.metrics.catalogue import spec_of
from shared.metrics.gap import GapRow, Interval, stored_gap

DIGITS = 3  # decimals
SMALL = 0.01  # below it, decimals are counted from the first digit that is not 0


def headline(rows: Sequence[GapRow], *, metric: str | None = None) -> GapRow:
    """The row that stands for all.

    Parameters
    ----------
    rows : sequence of GapRow
        Not empty.
    metric : str, optional
        That the comparison has stored. Without it the first, in the order of the task's metrics, whose gap has
        a value.
    """
    chosen = next((row for row in rows if row.metric == metric), None)
    return chosen or next((row for row in rows if row.has_value), rows[0])


def stored_headline(summary: Mapping[str, Any]) -> GapRow | None:
    """The headline of a comparison from the summary of its run; None where no gap was measured (yet)."""
    rows = stored_gap(summary)
    return headline(rows, metric=summary.get("metric")) if rows else None


def summary_sentence(row: GapRow, *, num_clients: int, tested: str = "", rows: Sequence[GapRow] = ()) -> str:
    """The result in one sentence, with its interval; in others, who loses to a floor, and what is tested.

    Parameters
    ----------
    row : GapRow
        What the sentence is about, see `headline`.
    rows : sequence of GapRow
        All of the comparison, among which floors are looked for.
    tested : str
        After which epochs and rounds, see `shared.tracking.twins.when_tested`.
    """
    return " ".join(filter(None, (_sentence(row, num_clients=num_clients), below_floor(row, rows), tested)))


def below_floor(row: GapRow, rows: Sequence[GapRow]) -> str:
    """Which of the twins loses to the best floor of a metric; empty where both beat it, or it has none.

    Parameters
    ----------
    row : GapRow
        Of the metric, of which the lower the better.
    rows : sequence of GapRow
        Those of floors are named after their metric, such as ``seasonal_mae``.
    """
    floors = [one for one in rows if spec_of(one.metric).floor and one.metric.endswith(f"_{row.metric}")]
    if not floors or not row.has_value:
        return ""
    best = min(floors, key=lambda one: one.pooled.value)
    beaten = [one.value < best.pooled.value for one in (row.pooled, row.federated)]
    told = {
        (False, False): "Neither model beats",
        (True, False): "The federated model does not beat",
        (False, True): "The pooled model does not beat",
    }.get((beaten[0], beaten[1]))
    value = format_value(best.pooled.value, digits=row_digits(row))
    return f"{told} a plain forecast ({best.title} {value})." if told else ""


def _sentence(row: GapRow, *, num_clients: int) -> str:
    digits = row_digits(row)
    federated, pooled = (format_value(one.value, digits=digits) for one in (row.federated, row.pooled))
    clients = "1 client" if num_clients == 1 else f"{num_clients} clients"
    start = f"Federated training with {clients} reaches {row.title} {federated}"
    match row.verdict:
        case "undefined" if row.has_value:
            return (
                f"{start}; pooled training reaches {pooled}. The gap {format_gap(row)} has no interval: "
                f"{why_no_interval(row)}."
            )
        case "undefined":
            return f"{start}; its gap to pooled training ({pooled}) is not defined."
        case "equal":
            return f"{start}, equal to pooled training."
        case "unclear" if row.better is None:
            return (
                f"{start}; pooled training reaches {pooled}. Pooled minus federated is {format_gap(row)} "
                f"({how_sure(row)}); neither direction is better."
            )
        case "unclear":
            return (
                f"{start}; pooled training reaches {pooled}, and the gap {format_gap(row)} is not clearly "
                f"different from 0 ({how_sure(row)})."
            )
    return f"{start}, {distance(row)} than pooled training ({how_sure(row)})."


def distance(row: GapRow) -> str:
    """How far federated is from pooled, as in `summary_sentence`, such as ``0.004 [0.001, 0.008] worse``."""
    return format_cost(row.cost, digits=row_digits(row))


def format_cost(cost: Interval, *, digits: int = DIGITS, words: tuple[str, str] = ("worse", "better")) -> str:
    """A cost in words, such as ``0.004 [0.001, 0.008] worse``.

    Parameters
    ----------
    words : tuple of str
        For a positive and for a negative cost.
    """
    if cost.value < 0:
        return f"{format_interval(Interval(-cost.value, -cost.high, -cost.low), digits=digits)} {words[1]}"
    return f"{format_interval(cost, digits=digits)} {words[0]}"


def format_gap(row: GapRow) -> str:
    """The gap in numbers, positive is worse, such as ``+0.004 [+0.001, +0.008]``."""
    return format_interval(row.cost, signed=True, digits=row_digits(row))


def how_sure(row: GapRow) -> str:
    """What is behind an interval, such as ``95 % CI, 57 patients, 3 seeds``."""
    return ", ".join([f"{100 * row.confidence:g} % CI", *([counted(row)] if counted(row) else [])])


def counted(row: GapRow) -> str:
    """How many independent groups and seeds an interval is from; empty where this was not stored."""
    groups = "" if row.per_run or not row.groups else _count(row.groups, f"test {row.noun}")
    seeds = _count(row.seeds, "seed") if row.seeds > 1 or (row.seeds and row.per_run) else ""
    return ", ".join(filter(None, (groups, seeds)))


def why_no_interval(row: GapRow) -> str:
    """The reason for which a gap has no interval."""
    if row.per_run and row.seeds > 1:
        return "all seeds have the same value"
    if row.per_run:
        return (
            "this metric is one number a run, and only several seeds say how sure it is (compare.seeds=[1,2,3])"
        )
    if row.noun.endswith("block") and row.groups < 2:
        return f"the test is shorter than two {row.noun}s, which are left out in turn (task.block)"
    if row.groups == 1:
        return f"all test rows are of one {row.noun}, and others may differ by any amount"
    if row.undefined:
        return f"the metric rests on one {row.noun}, without which it is not defined"
    return "the test rows do not vary"


def row_digits(row: GapRow) -> int:
    """Decimals of the numbers of a row: more where both models' values are small, as of a target in metres."""
    return digits_for(one.value for one in (row.pooled, row.federated))


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
    value, low, high = interval_texts(interval, signed=signed, digits=digits)
    return f"{value} [{low}, {high}]"


def interval_texts(interval: Interval, *, signed: bool = False, digits: int = DIGITS) -> tuple[str, str, str]:
    """The value and the two ends as `format_interval` writes them; ``n/a`` for NaN."""
    numbers = (interval.value, interval.low, interval.high)
    small = any(0 < abs(end) < 0.5 * 10**-digits for end in (interval.low, interval.high))
    places = min(_places(number, digits=digits + small) for number in numbers)
    value, low, high = (format_value(number, signed=signed, digits=places) for number in numbers)
    return value, low, high


def digits_for(values: Iterable[float]) -> int:
    """Decimals of numbers of one kind: more where all are small."""
    level = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return DIGITS if level == 0 or level >= SMALL else DIGITS - 1 - math.floor(math.log10(level))


def _places(value: float, *, digits: int) -> int:
    return 0 if abs(value) >= 1000 else min(1, digits) if abs(value) >= 100 else digits


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
