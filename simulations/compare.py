"""`compare`: trains the pooled and federated twins, measures the gap, and writes figures and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

from shared.config.config import Config
from shared.metrics.gap import GapRow
from shared.runtime.home import Home
from shared.tasks.task import learner_of
from shared.tracking.progress import open_board
from shared.tracking.store import Store
from shared.tracking.tracked_run import tracked_run
from simulations.budget import unequal
from simulations.gap.bootstrap import compare_gap
from simulations.report.build import Comparison, write_results
from simulations.report.history import cost, read_outputs
from simulations.runner import Runner
from simulations.twin_settings import warn_one_sided
from simulations.twins import Twins, train_twins


def compare(cfg: Config, *, runner: Runner, store: Store, home: Home, command: str = "fedtwin compare") -> int:
    """Train pooled and federated twins, and store the federated gap, figures and a report.

    Parameters
    ----------
    runner : Runner
        Of the federated twins.
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
    with tracked_run(store, cfg, mode="compare") as run_id:
        with open_board(enabled=cfg.trainer.progress) as board:
            twins = train_twins(cfg, runner=runner, store=store, home=home, parent_id=run_id, board=board)
        rows = measure_gap(cfg, twins, home=home)
        folder = home.comparison_dir(run_id)
        summary = {
            **_summary(twins, rows, folder=folder),
            "warnings": [*warn_one_sided(cfg), *warnings(twins, store=store)],
        }
        store.runs.update(run_id, summary=summary)
        done = Comparison(run_id=run_id, cfg=cfg, twins=twins, rows=rows, command=command)
        write_results(done, store=store, home=home, folder=folder)
    return run_id


def measure_gap(cfg: Config, twins: Twins, *, home: Home) -> list[GapRow]:
    """The gap of every metric, from the twins' test predictions."""
    learner = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    return compare_gap(
        learner.spec(data.schema),
        [read_outputs(home, run_id) for run_id in twins.pooled],
        [read_outputs(home, run_id) for run_id in twins.federated],
        local=[[read_outputs(home, run_id) for run_id in ids] for ids in twins.local],
        confidence=cfg.compare.confidence,
        resamples=cfg.compare.resamples,
        seed=cfg.seed,
        groups=None if data.groups is None else data.groups.numbers[data.indices("test")],
    )


def warnings(twins: Twins, *, store: Store) -> list[str]:
    """What is to be doubted of a comparison: twins that did not see the same number of examples, as counted."""
    found = []
    for seed, *runs in zip(twins.seeds, twins.pooled, twins.federated, strict=True):
        problem = unequal(*(cost(store, run_id).examples for run_id in runs))
        if problem:
            found.append(f"seed {seed}: {problem}" if len(twins.seeds) > 1 else problem)
    return found


def _summary(twins: Twins, rows: Sequence[GapRow], *, folder: Path) -> dict[str, Any]:
    return {"gap": [asdict(row) for row in rows], "twins": asdict(twins), "folder": str(folder)}
