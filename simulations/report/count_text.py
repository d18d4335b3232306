"""How the rows are shared out, as tables for the terminal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from rich import box
from rich.table import Table
from rich.text import Text

from shared.data.profile import CountTable, SpanTable
from shared.runtime.tables import FittingTable
from shared.tracking.show import number

BAR_WIDTH = 12  # characters


def count_text(table: CountTable) -> Table:
    """How many training rows of each client have each value.

    Returns
    -------
    rich.table.Table
        One row a client and a footer with the sums. The share is of all training rows; its bars are to scale
        with the largest client's.
    """
    counts, sizes = table.counts, table.sizes
    # Narrow enough for 10 values in 80 columns; where it does not fit, names fold and bars are cut first.
    title = f"Training rows of each client by {table.variable}"
    shown = FittingTable(title=Text(title), show_footer=True, box=box.SIMPLE_HEAD, padding=0)
    shown.add_column("client", footer="all", overflow="fold")
    for name, total in zip([*table.values, "total"], [*counts.sum(axis=0), sizes.sum()], strict=True):
        footer = f"{total:,}"
        shown.add_column(Text(name), footer=footer, justify="right", min_width=len(footer), overflow="fold")
    shown.add_column("share", no_wrap=True, overflow="crop", min_width=len("100.0%"))
    for name, row, size, share in zip(table.clients, counts, sizes, _shares(sizes), strict=True):
        cells = [Text(f"{count:,}", style="" if count else "dim") for count in row]
        shown.add_row(Text(name), *cells, f"{size:,}", share)
    return shown


def span_text(table: SpanTable) -> Table:
    """How many training rows each client has, and between which values of a variable.

    Returns
    -------
    rich.table.Table
        As of `count_text`.
    """
    shown = FittingTable(
        title="Training rows of each client", show_footer=True, box=box.SIMPLE_HEAD, padding=(0, 1)
    )
    shown.add_column("client", footer="all", overflow="fold")
    low, high = table.of_all
    for name, footer in (
        (f"smallest {table.variable}", number(low)),
        (f"largest {table.variable}", number(high)),
        ("total", f"{table.sizes.sum():,}"),
    ):
        shown.add_column(Text(name), footer=footer, justify="right", min_width=len(footer), overflow="fold")
    shown.add_column("share", no_wrap=True, overflow="crop", min_width=len("100.0%"))
    rows = zip(table.clients, table.spans, table.sizes, _shares(table.sizes), strict=True)
    for name, span, size, share in rows:
        shown.add_row(Text(name), *map(number, span or (None, None)), f"{size:,}", share)
    return shown


def _shares(sizes: npt.NDArray[np.int64]) -> list[str]:
    everything, largest = max(int(sizes.sum()), 1), max(int(sizes.max(initial=0)), 1)
    return [f"{size / everything:6.1%} {'█' * round(BAR_WIDTH * size / largest)}" for size in sizes.tolist()]
