"""`compare_models`: two tested models on the same test rows, with the interval of their difference."""

from __future__ import annotations

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

from shared.config.stored import read_snapshot
from shared.data.row_keys import other_rows, row_keys
from shared.metrics.gap import GapRow
from shared.runtime.errors import TrackingError, bullet_list
from shared.runtime.home import Home
from shared.tasks.task import learner_of, schema_of_run
from shared.tracking.rows import RunRow
from simulations.gap.jackknife import compare_gap
from simulations.report.history import read_outputs
from simulations.report.site_gains import dependence_of_test


def compare_models(first: RunRow, second: RunRow, *, home: Home, confidence: float = 0.95) -> list[GapRow]:
    """Measure two runs by their predictions for the same test rows.

    Parameters
    ----------
    confidence : float
        Of the intervals, in (0, 1).

    Returns
    -------
    list of GapRow
        ``pooled`` is the first, ``federated`` the second.

    Raises
    ------
    TrackingError
        They were tested on other rows, or predict other classes; their data has changed since; or their
        predictions are not on this machine.
    """
    schemas = schema_of_run(first), schema_of_run(second)
    problems = []
    if (schemas[0].classes, schemas[0].targets) != (schemas[1].classes, schemas[1].targets):
        problems.append(f"run {first.id} predicts other classes or targets than run {second.id}")
    keys = [{"test": (run.summary.get("row_keys") or {}).get("test")} for run in (first, second)]
    names = (f"in run {first.id}", f"in run {second.id}")
    if None in (keys[0]["test"], keys[1]["test"]):
        problems.append("a run of an early version kept no key of its test rows")
    else:
        problems += other_rows(keys[0], keys[1], when=names[0], at_present=names[1])
    if problems:
        raise TrackingError(f"these models cannot be compared:\n{bullet_list(problems)}")
    outputs = [read_outputs(home, run.id) for run in (first, second)]
    cfg = read_snapshot(second.config)
    learner = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    if changed := other_rows(
        keys[1], {"test": row_keys(data)["test"]}, when="when they were tested", at_present="now"
    ):
        raise TrackingError(f"the data of run {second.id} has changed since: {changed[0]}")
    return compare_gap(
        learner.spec(data.schema),
        outputs[:1],
        outputs[1:],
        confidence=confidence,
        resamples=cfg.compare.resamples,
        seed=cfg.seed,
        **dependence_of_test(data)._asdict(),
    )
