"""How the rows are shared out, as a table for the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from shared.data.profile import CountTable

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
    everything, largest = max(int(sizes.sum()), 1), max(int(sizes.max(initial=0)), 1)
    # Narrow enough for 10 values in 80 columns; where it does not fit, names fold and bars are cut first.
    shown = Table(title="Training rows of each client", show_footer=True, box=box.SIMPLE_HEAD, padding=0)
    shown.add_column("client", footer="all", overflow="fold")
    for name, total in zip([*table.values, "total"], [*counts.sum(axis=0), sizes.sum()], strict=True):
        footer = f"{total:,}"
        shown.add_column(Text(name), footer=footer, justify="right", min_width=len(footer), overflow="fold")
    shown.add_column("share", no_wrap=True, overflow="crop", min_width=len("100.0%"))
    for name, row, size in zip(table.clients, counts, sizes, strict=True):
        bar = "█" * round(BAR_WIDTH * int(size) / largest)
        cells = [Text(f"{count:,}", style="" if count else "dim") for count in row]
        shown.add_row(Text(name), *cells, f"{size:,}", f"{size / everything:6.1%} {bar}")
    return shown
