"""Wording of a federated gap: formatted numbers, a summary sentence, and a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from simulations.gap.bootstrap import GapRow, Interval, Verdict

LABELS = {
    "loss": "loss",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "calibration_error": "calibration error",
}
MARKS: dict[Verdict, str] = {
    "worse": "▼ worse",
    "better": "▲ better",
    "unclear": "≈ unclear",
    "undefined": "undefined",
}
_STYLES: dict[Verdict, str] = {"worse": "bold red", "better": "bold green", "unclear": "", "undefined": "dim"}


def label(metric: str) -> str:
    """A metric's name for readers.

    Parameters
    ----------
    metric : str
        Such as ``average_precision``, or a name that is not in `LABELS`.
    """
    return LABELS.get(metric, metric.replace("_", " "))


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


def headline(rows: Sequence[GapRow]) -> GapRow:
    """The row that stands for all: AUROC, or if it is not defined the first that is.

    Parameters
    ----------
    rows : sequence of GapRow
        Not empty.
    """
    by_metric = {row.metric: row for row in rows}
    wanted = [by_metric[metric] for metric in ("auroc", "accuracy") if metric in by_metric]
    return next((row for row in [*wanted, *rows] if row.verdict != "undefined"), rows[0])


def summary_sentence(rows: Sequence[GapRow], *, num_clients: int) -> str:
    """The result in one sentence, with its interval."""
    row = headline(rows)
    federated, pooled = format_value(row.federated.value), format_value(row.pooled.value)
    clients = "1 client" if num_clients == 1 else f"{num_clients} clients"
    start = f"Federated training with {clients} reaches {label(row.metric)} {federated}"
    if row.verdict == "undefined":
        return f"{start}; its gap to pooled training ({pooled}) is not defined."
    if row.verdict == "unclear":
        return (
            f"{start}; pooled training reaches {pooled}, and the gap {format_interval(row.gap, signed=True)} "
            "is not clearly different from 0."
        )
    if row.gap.value < 0:
        above = Interval(-row.gap.value, -row.gap.high, -row.gap.low)
        return f"{start}, {format_interval(above)} above pooled training."
    return f"{start}, {format_interval(row.gap)} below pooled training."


def gap_table(rows: Sequence[GapRow], *, title: str | None = None) -> Table:
    """The gaps as a table for the terminal, readable at 80 columns and without colour.

    Parameters
    ----------
    rows : sequence of GapRow
        Not empty.

    Returns
    -------
    rich.table.Table
        With a column for local training if any row has its value.
    """
    with_local = any(row.local is not None for row in rows)
    table = Table(
        title=title or f"Federated gap, {100 * rows[0].confidence:g} % CI",
        caption=_caption(rows),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 0 if with_local else 1),  # one column more must still fit into 80
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("metric", no_wrap=True)
    for name in ("pooled", "federated", *(("local",) if with_local else ())):
        table.add_column(name, justify="right", min_width=max(map(len, name.split())))
    table.add_column("gap", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        better = "↑" if row.better == "higher" else "↓"
        values = [row.pooled, row.federated, *((row.local,) if with_local else ())]
        table.add_row(
            Text(f"{label(row.metric)} {better}"),
            *(format_value(value.value) if value else "" for value in values),
            Text(format_interval(row.gap, signed=True)),
            Text(MARKS[row.verdict], style=_STYLES[row.verdict]),
        )
    return table


def _caption(rows: Sequence[GapRow]) -> str:
    parts = [
        "gap: pooled minus federated, same test set. ↑ higher is better, ↓ lower is better.",
        "worse/better: effect of federation; unclear: interval includes 0.",
    ]
    left_out = [f"{label(row.metric)} {row.undefined:,}" for row in rows if row.undefined]
    if left_out:
        parts.append(f"Resamples dropped because a class was missing: {', '.join(left_out)}.")
    return " ".join(parts)
