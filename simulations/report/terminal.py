"""`print_comparison`: a finished comparison on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.metrics.catalogue import better, label, naming
from shared.metrics.gap import stored_gap
from shared.metrics.gap_table import gap_table
from shared.metrics.headline import format_value, headline, summary_sentence
from shared.metrics.site_table import sites_told
from shared.metrics.spec import Better
from shared.runtime.home import Home
from shared.runtime.tables import FittingTable
from shared.tasks.task import spec_of_run
from shared.tracking.store import Store
from shared.tracking.twins import family, number_of_clients, positive_class, warnings_of, when_tested
from simulations.gap.clients import per_client_summary
from simulations.report.build import cost_rows
from simulations.report.history import client_values
from simulations.twins import Twins


def print_comparison(console: Console, run_id: int, *, store: Store, home: Home) -> None:
    """Print the gap, what the runs took, and where to find more.

    Raises
    ------
    TrackingError
        There is no such run.
    """
    with naming(positive_class(family(store, run_id))):
        _print(console, run_id, store=store, home=home)


def _print(console: Console, run_id: int, *, store: Store, home: Home) -> None:
    run = store.runs.get(run_id)
    rows, twins, folder = stored_gap(run.summary), Twins(**run.summary["twins"]), Path(run.summary["folder"])
    console.print(gap_table(rows))
    console.print(*sites_told(run.summary), sep="\n", end="")
    console.print(cost_table(twins, store=store))
    runs = family(store, run_id)
    clients = number_of_clients(store, runs)
    chosen = headline(rows, metric=run.summary.get("metric"))
    console.print(summary_sentence(chosen, num_clients=clients, tested=when_tested(runs), rows=rows))
    for warning in warnings_of(runs):
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
    metric = spec_of_run(store.runs.get(twins.federated[0])).client_metric
    direction = next((row.better for row in rows if row.metric == metric), better(metric))
    spread = clients_summary(twins, store=store, metric=metric, better=direction)
    for name, value in (
        ("clients", f"validation {label(metric)}: {spread}"),
        ("runs", f"comparison {run_id}, pooled {_ids(twins.pooled)}, federated {_ids(twins.federated)}"),
        ("database", home.database_url if home.database_url.startswith("sqlite") else "PostgreSQL"),
        ("report", str(folder / "report.html")),
        ("figures", str(folder)),
    ):
        console.print(f"{name:<9} {value}", soft_wrap=True, highlight=False)


def clients_summary(twins: Twins, *, store: Store, metric: str, better: Better | None) -> str:
    """How a validation metric of the last global model spreads over the clients of the first seed."""
    values = client_values(store, twins.federated[0], metric=metric)
    if not values:
        return "no validation rows"
    spread = per_client_summary(values, better=better)
    return (
        f"worst {format_value(spread.worst)} ({escape(spread.worst_name)}), "
        f"median {format_value(spread.median)}, best {format_value(spread.best)} "
        f"({escape(spread.best_name)}), spread {format_value(spread.spread)}"
    )


def cost_table(twins: Twins, *, store: Store) -> Table:
    """What each kind of twin took, as means over the seeds."""
    table = FittingTable(title="cost per run", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("", "seconds", "examples seen", "MB to clients", "MB from clients"):
        table.add_column(name, justify="left" if not name else "right")
    for row in cost_rows(twins, store=store):
        sent = ["-" if size is None else f"{size / 1e6:.2f}" for size in (row.bytes_down, row.bytes_up)]
        table.add_row(row.mode, f"{row.seconds:.1f}", f"{row.examples:,}", *sent)
    return table


def _ids(runs: Sequence[int]) -> str:
    return ", ".join(str(run_id) for run_id in runs)
