"""The federated gap as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from shared.metrics.catalogue import label
from shared.metrics.gap import GapRow, Verdict
from shared.metrics.headline import format_interval, format_value, row_digits

MARKS: dict[Verdict, str] = {
    "worse": "▼ worse",
    "better": "▲ better",
    "equal": "= equal",
    "unclear": "≈ unclear",
    "undefined": "undefined",
}
_STYLES: dict[Verdict, str] = {"worse": "bold red", "better": "bold green", "undefined": "dim"}
_ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}


def named(row: GapRow) -> str:
    """A metric's label with an arrow in its better direction."""
    return f"{label(row.metric)}{_ARROWS[row.better]}"


def mark(row: GapRow) -> str:
    """The verdict in a word, with a sign."""
    without = row.verdict == "undefined" and not math.isnan(row.gap.value)
    return "no interval" if without else MARKS[row.verdict]


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
        values = [row.pooled, row.federated, *((row.local,) if with_local else ())]
        digits = row_digits(row)
        table.add_row(
            Text(named(row)),
            *(format_value(value.value, digits=digits) if value else "" for value in values),
            Text(format_interval(row.gap, signed=True, digits=digits)),
            Text(mark(row), style=_STYLES.get(row.verdict, "")),
        )
    return table


def _caption(rows: Sequence[GapRow]) -> str:
    parts = [
        "gap: pooled minus federated, same test set. ↑ higher, ↓ lower is better.",
        "worse/better: effect of federation; unclear: interval includes 0.",
    ]
    if any(mark(row) == "no interval" for row in rows):
        parts.append("no interval: one number a run, and one seed.")
    left_out = [f"{label(row.metric)} {row.undefined:,}" for row in rows if row.undefined]
    if left_out:
        parts.append(f"Resamples dropped because the metric is not defined on them: {', '.join(left_out)}.")
    return " ".join(parts)
