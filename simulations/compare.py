"""`compare`: trains the pooled and federated twins, measures the gap, and writes figures and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

from shared.config.config import Config
from shared.config.problems import did_you_mean
from shared.metrics.gap import GapRow
from shared.metrics.headline import headline
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.runtime.waiting import waiting
from shared.tasks.task import learner_of
from shared.tracking.progress import open_board
from shared.tracking.store import Store
from shared.tracking.tracked_run import tracked_run
from simulations.budget import unequal
from simulations.gap.jackknife import compare_gap
from simulations.measured import telling_measured
from simulations.report.build import Comparison, write_results
from simulations.report.history import cost, read_outputs
from simulations.report.site_gains import dependence_of_test, site_gains
from simulations.runner import Runner
from simulations.twin_settings import warn_one_sided
from simulations.twins import PooledTwins, Twins, train_twins


def compare(
    cfg: Config,
    *,
    runner: Runner,
    store: Store,
    home: Home,
    command: str = "fedtwin compare",
    resume: bool = False,
    pooled_twins: PooledTwins | None = None,
) -> int:
    """Train pooled and federated twins, and store the federated gap, figures and a report.

    Parameters
    ----------
    runner : Runner
        Of the federated twins.
    command : str
        Command line, for the report.
    resume : bool
        Go on with the comparison in ``tracking.run_id``: what it has trained stays.
    pooled_twins : PooledTwins, optional
        Where other comparisons may have the same pooled twins.

    Returns
    -------
    int
        Id of the comparison's run, whose children are the twins.

    Raises
    ------
    FedtwinError
    """
    if cfg.compare.metric is not None and not resume:
        headline_metric(cfg, home=home)  # refused before there is a run
    with tracked_run(
        store, cfg, mode="compare", folder=home.run_dir, journals=home.journals, resume=resume
    ) as run_id:
        store.runs.update(run_id, summary={"metric": headline_metric(cfg, home=home)})
        with open_board(enabled=cfg.trainer.progress) as board, telling_measured(store, run_id):
            twins = train_twins(
                cfg,
                runner=runner,
                store=store,
                home=home,
                parent_id=run_id,
                board=board,
                pooled_twins=pooled_twins,
            )
        if not cfg.trainer.test:  # of a search: the twins are compared on validation rows
            monitor = store.runs.get(twins.pooled[0]).summary["monitor"]
            store.runs.update(run_id, summary={"twins": asdict(twins), "monitor": monitor})
            return run_id
        with telling_measured(store, run_id):
            measure(cfg, twins, store=store, home=home, run_id=run_id, command=command)
    return run_id


def measure(
    cfg: Config,
    twins: Twins,
    *,
    store: Store,
    home: Home,
    run_id: int,
    command: str,
    warned: Sequence[str] = (),
) -> None:
    """Measure the gap of trained twins, and write figures and report.

    Parameters
    ----------
    run_id : int
        The comparison's run, which is under way.
    warned : sequence of str
        Further warnings.
    """
    bootstrap = f"bootstrap of the gap, {cfg.compare.resamples:,} resamples"
    with waiting(bootstrap, show=cfg.trainer.progress):
        rows = measure_gap(cfg, twins, home=home)
        gains = measure_gains(cfg, twins, rows, store=store, home=home)
    folder = home.comparison_dir(run_id)
    summary = {
        **_summary(twins, rows, metric=cfg.compare.metric, folder=folder),
        **({"site_gains": gains} if gains else {}),
        "monitor": store.runs.get(twins.pooled[0]).summary["monitor"],
        "warnings": [*warn_one_sided(cfg), *warned, *warnings(twins, store=store)],
    }
    store.runs.update(run_id, summary=summary)
    done = Comparison(run_id=run_id, cfg=cfg, twins=twins, rows=rows, command=command, site_gains=gains)
    with waiting("drawing the figures and writing the report", show=cfg.trainer.progress):
        write_results(done, store=store, home=home, folder=folder)


def headline_metric(cfg: Config, *, home: Home) -> str:
    """The metric that stands for all, as it is known before training.

    Raises
    ------
    ConfigError
        ``compare.metric`` is none of the task's metrics.
    """
    learner = learner_of(cfg)
    names = learner.spec(learner.dataset(cache=home.cache, progress=cfg.trainer.progress).schema).names
    metric = cfg.compare.metric
    if metric is not None and metric not in names:
        raise ConfigError(
            f"compare.metric must be one of {', '.join(names)}, got {metric!r}{did_you_mean(metric, names)}"
        )
    return metric or names[0]


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
        **dependence_of_test(data)._asdict(),
    )


def measure_gains(
    cfg: Config, twins: Twins, rows: Sequence[GapRow], *, store: Store, home: Home
) -> dict[str, Any] | None:
    """What each site gains against training alone; None where no site trained alone."""
    if not twins.local:
        return None
    learner = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    return site_gains(
        cfg,
        twins,
        rows,
        spec=learner.spec(data.schema),
        data=data,
        store=store,
        home=home,
    )


def warnings(twins: Twins, *, store: Store) -> list[str]:
    """What is to be doubted of a comparison: twins that did not see the same number of examples, as counted."""
    found = []
    for seed, *runs in zip(twins.seeds, twins.pooled, twins.federated, strict=True):
        problem = unequal(*(cost(store, run_id).examples for run_id in runs))
        if problem:
            found.append(f"seed {seed}: {problem}" if len(twins.seeds) > 1 else problem)
    return found


def _summary(twins: Twins, rows: Sequence[GapRow], *, metric: str | None, folder: Path) -> dict[str, Any]:
    return {
        "metric": headline(rows, metric=metric).metric,
        "gap": [asdict(row) for row in rows],
        "twins": asdict(twins),
        "folder": str(folder),
    }
