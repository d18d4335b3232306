"""`compare`: trains the pooled and federated twins, measures the gap, prints it and writes the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.config.config import Config
from shared.data.images.dataset import load_images
from shared.runtime.home import Home
from shared.runtime.progress import Board
from shared.runtime.run import tracked_run
from shared.tracking.store import Store
from simulations.engine.process_pool import ProcessPoolGrid
from simulations.gap.bootstrap import GapRow, compare_gap, per_client_summary
from simulations.gap.wording import gap_table, summary_sentence
from simulations.report.build import Comparison, cost_rows, write_results
from simulations.report.history import client_values, read_predictions
from simulations.twins import Twins, train_twins


def compare(
    cfg: Config, *, engine: ProcessPoolGrid | None, store: Store, home: Home, command: str = "fedtwin compare"
) -> int:
    """Train pooled and federated twins, then store and print the federated gap.

    Parameters
    ----------
    engine : ProcessPoolGrid or None
        That runs the clients of the federated twins; None: Flower's simulation.
    command : str
        Command line, for the report.

    Returns
    -------
    int
        Id of the comparison's run, whose children are the twins.

    Raises
    ------
    FedtwinError
    """
    console = Console()
    with tracked_run(store, cfg, mode="compare") as run_id:
        with Board(enabled=cfg.trainer.progress) as board:
            twins = train_twins(cfg, engine=engine, store=store, home=home, parent_id=run_id, board=board)
        rows = measure_gap(cfg, twins, home=home)
        folder = home.results / f"compare_{run_id}"
        store.runs.update(run_id, summary=_summary(twins, rows, folder=folder))
        done = Comparison(run_id=run_id, cfg=cfg, twins=twins, rows=rows, command=command)
        report = write_results(done, store=store, home=home, folder=folder)
    console.print(gap_table(rows))
    console.print(cost_table(twins, store=store))
    console.print(summary_sentence(rows, num_clients=cfg.federation.num_clients))
    clients = clients_summary(twins, store=store)
    for name, value in (
        ("clients", f"validation accuracy: {clients}"),
        ("runs", f"comparison {run_id}, pooled {_ids(twins.pooled)}, federated {_ids(twins.federated)}"),
        ("database", home.database_url if home.database_url.startswith("sqlite") else "PostgreSQL"),
        ("report", str(report)),
        ("figures", str(folder)),
    ):
        console.print(f"{name:<9} {value}", soft_wrap=True, highlight=False)
    return run_id


def measure_gap(cfg: Config, twins: Twins, *, home: Home) -> list[GapRow]:
    """The gap of every metric, from the twins' test predictions."""
    data = load_images(cfg.data, cache_dir=home.cache)
    return compare_gap(
        [read_predictions(home, run_id) for run_id in twins.pooled],
        [read_predictions(home, run_id) for run_id in twins.federated],
        local=[[read_predictions(home, run_id) for run_id in ids] for ids in twins.local],
        confidence=cfg.compare.confidence,
        resamples=cfg.compare.resamples,
        seed=cfg.seed,
        groups=None if data.groups is None else data.groups[data.indices("test")],
    )


def clients_summary(twins: Twins, *, store: Store) -> str:
    """Spread of the last global model's validation accuracy over the clients of the first seed."""
    values = client_values(store, twins.federated[0], metric="accuracy")
    if not values:
        return "no validation rows"
    spread = per_client_summary(values)
    return (
        f"worst {spread.worst:.3f} ({escape(spread.worst_name)}), median {spread.median:.3f}, "
        f"best {spread.best:.3f} ({escape(spread.best_name)}), spread {spread.spread:.3f}"
    )


def cost_table(twins: Twins, *, store: Store) -> Table:
    """Cost of each kind of twin, as means over the seeds."""
    table = Table(title="cost per run", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("", "seconds", "examples seen", "MB to clients", "MB from clients"):
        table.add_column(name, justify="left" if not name else "right")
    for row in cost_rows(twins, store=store):
        sent = ["-" if size is None else f"{size / 1e6:.2f}" for size in (row.bytes_down, row.bytes_up)]
        table.add_row(row.mode, f"{row.seconds:.1f}", f"{row.examples:,}", *sent)
    return table


def _summary(twins: Twins, rows: Sequence[GapRow], *, folder: Path) -> dict[str, Any]:
    return {"gap": [asdict(row) for row in rows], "twins": asdict(twins), "folder": str(folder)}


def _ids(runs: Sequence[int]) -> str:
    return ", ".join(str(run_id) for run_id in runs)
