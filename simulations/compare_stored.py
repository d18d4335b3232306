"""`compare_stored`: the gap of pooled and federated runs that are there already, without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

from shared.config.config import Config
from shared.config.continuing import within
from shared.config.edits import with_settings
from shared.config.stored import read_snapshot, upgrade
from shared.data.row_keys import other_rows, row_keys
from shared.runtime.errors import ConfigError, TrackingError
from shared.runtime.home import Home
from shared.tasks.task import learner_of
from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from shared.tracking.tracked_run import tracked_run
from simulations.compare import headline_metric, measure
from simulations.report.history import read_outputs
from simulations.stored_pairs import find_pairs

_CHANGEABLE = ("name", "description", "compare.confidence", "compare.resamples", "compare.metric")


def compare_stored(
    ids: Sequence[int], *, store: Store, home: Home, settings: Sequence[str] = (), command: str
) -> int:
    """Compare completed pooled and federated runs, as a comparison like any other.

    Parameters
    ----------
    ids : sequence of int
        Paired by their seed; they stay what they are, and may be part of other comparisons.
    settings : sequence of str
        Such as ``compare.confidence=0.9`` and ``name=mine``.
    command : str
        Command line, for the report.

    Returns
    -------
    int
        Id of the comparison's run.

    Raises
    ------
    TrackingError
        They are no twins, for reasons that are all named; their data has changed since; or their predictions
        are not on this machine.
    ConfigError
        A setting is not one of how twins are compared.
    """
    if wrong := [text for text in settings if not within(text.partition("=")[0], _CHANGEABLE)]:
        raise ConfigError(
            f"{wrong[0]} has no effect on runs that are trained; only {', '.join(_CHANGEABLE)} have"
        )
    pairs = find_pairs([store.runs.get(run_id) for run_id in dict.fromkeys(ids)])
    twins = pairs.twins
    first = store.runs.get(twins.federated[0])
    cfg = read_snapshot(with_settings(upgrade(first.config), settings))
    cfg = cfg.replace("compare", seeds=twins.seeds if len(twins.seeds) > 1 else None, local_only=False)
    metric = headline_metric(cfg, home=home)
    _check_rows(cfg, first, home=home)
    for run_id in (*twins.pooled, *twins.federated):
        read_outputs(home, run_id)  # they may be on another machine
    with tracked_run(store, cfg, mode="compare", journals=home.journals) as run_id:
        store.runs.update(run_id, summary={"of_runs": True, "metric": metric, "twins": asdict(twins)})
        measure(cfg, twins, store=store, home=home, run_id=run_id, command=command, warned=pairs.warnings)
    return run_id


def _check_rows(cfg: Config, run: RunRow, *, home: Home) -> None:
    kept = (run.summary.get("row_keys") or {}).get("test")
    if kept is None:
        return
    now = row_keys(learner_of(cfg).dataset(cache=home.cache))["test"]
    if changed := other_rows({"test": kept}, {"test": now}, when="when it was tested", at_present="now"):
        raise TrackingError(f"the data of run {run.id} has changed since: {changed[0]}")
