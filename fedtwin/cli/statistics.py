"""``fedtwin statistics PATH|RUN [SETTING=VALUE ...]``: what sites tell of their rows, by site and together."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedtwin.cli.data import split_arguments
from fedtwin.site_statistics import statistics
from shared.data.statistics import TOGETHER, CountRow, Statistics
from shared.runtime.errors import ConfigError
from shared.tracking.show import number, plain, table

_MOST_VALUES = 8  # columns of a table of counts


def run_command(options: Namespace) -> None:
    """Print the statistics.

    Parameters
    ----------
    options : Namespace
        As parsed by `fedtwin.cli.parser`.

    Raises
    ------
    FedtwinError
    """
    what, settings = split_arguments(options.what, command="statistics")
    run = int(what) if what and what.isascii() and what.isdecimal() else None
    if run is not None and settings:
        raise ConfigError(
            f"{settings[0]} has no effect on run {run}, whose clients have told their statistics; leave it out"
        )
    found = statistics(what if run is None else run, settings)
    if options.format == "json":
        print(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
        return
    console = Console()
    for shown in statistics_tables(found):
        console.print(shown)


def statistics_tables(found: Statistics) -> Iterator[Table | Text]:
    """The statistics as tables for the terminal."""
    sizes = table("name", "training rows", title="sites", light=True)
    for site, size in found.sizes.items():
        sizes.add_row(plain(site), f"fewer than {found.min_count}" if size is None else f"{size:,}")
    yield sizes
    if found.columns:
        yield _columns(found)
    for variable in dict.fromkeys(row.variable for row in found.counts):
        yield _counts(variable, [row for row in found.counts if row.variable == variable])
    yield Text(
        f"Training rows. -: not told, as fewer than {found.min_count} rows are behind it, or would be by "
        "subtraction, or the site keeps it back. Together: of the sites that tell.",
        style="dim",
    )


def _columns(found: Statistics) -> Table:
    shown = table("metric", "name", "values", "missing", "mean", "deviation", title="columns", light=True)
    shown.columns[0].header, shown.columns[1].header = "column", "site"
    before = None
    for row in found.columns:
        counts = ("-" if count is None else f"{count:,}" for count in (row.values, row.missing))
        shown.add_row(
            plain("" if row.column == before else row.column),
            plain(row.site),
            *counts,
            number(row.mean),
            number(row.deviation),
            style="bold" if row.site == TOGETHER else "",
        )
        before = row.column
    return shown


def _counts(variable: str, rows: Sequence[CountRow]) -> Table:
    values = list(rows[0].counts)[:_MOST_VALUES]
    more = len(rows[0].counts) - len(values)
    title = f"rows by {variable}" + (f", {more} more values in --format json" if more else "")
    shown = table("name", *values, title=title, light=True)
    shown.columns[0].header = "site"
    for row in rows:
        cells = ("-" if (count := row.counts[value]) is None else f"{count:,}" for value in values)
        shown.add_row(plain(row.site), *cells, style="bold" if row.site == TOGETHER else "")
    return shown
