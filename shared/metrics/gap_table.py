"""`gap_table`: the gaps of a comparison as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from shared.metrics.gap import GapRow, Verdict
from shared.metrics.gap_record import NOTE, mark
from shared.metrics.headline import counted, format_gap, format_value, row_digits
from shared.runtime.tables import FittingTable

_STYLES: dict[Verdict, str] = {"worse": "bold red", "better": "bold green", "undefined": "dim"}
_WIDEST = len("calibration error ↓")
_ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}


def named(row: GapRow) -> str:
    """A metric's label with an arrow in its better direction."""
    return f"{row.title}{_ARROWS[row.better]}"


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
    sample = next((counted(row) for row in rows if not row.per_run and counted(row)), "")
    shown = f"Federated gap, {100 * rows[0].confidence:g} % CI{f', {sample}' if sample else ''}"
    table = FittingTable(
        title=title or shown,
        caption=_caption(rows),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 0 if with_local else 1),  # one column more must still fit into 80
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("metric", min_width=18)  # a long name of a class wraps
    for name in ("pooled", "federated", *(("local",) if with_local else ())):
        table.add_column(name, justify="right", min_width=max(map(len, name.split())))
    table.add_column("gap", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        values = [row.pooled, row.federated, *((row.local,) if with_local else ())]
        digits = row_digits(row)
        table.add_row(
            Text(_folded(named(row))),
            *(format_value(value.value, digits=digits) if value else "" for value in values),
            Text(format_gap(row)),
            Text(mark(row), style=_STYLES.get(row.verdict, "")),
        )
    return table


def _folded(name: str) -> str:
    # The class that a metric is of has a line of its own where it would widen the table beyond 80 columns.
    return name.replace(" (", "\n(", 1) if len(name) > _WIDEST else name


def _caption(rows: Sequence[GapRow]) -> str:
    parts = [NOTE, "Unclear: the interval includes 0. ↑ higher, ↓ lower is better."]
    of_runs = [row.title for row in rows if row.per_run]
    if of_runs:
        seeds = max(row.seeds for row in rows)
        few = ", which has no interval" if seeds == 1 else f", over {seeds} seeds" if seeds else ""
        parts.append(f"One number a run{few}: {', '.join(of_runs)}.")
    if any(row.groups == 1 for row in rows):
        parts.append(f"No interval: all test rows are of one {rows[0].noun}.")
    alone = [row.title for row in rows if row.undefined and not row.per_run]
    if alone:
        parts.append(f"No interval, since it rests on one {rows[0].noun}: {', '.join(alone)}.")
    return " ".join(parts)
