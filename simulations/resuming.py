"""`resume`: goes on with a stored run, or makes a finished one longer, with no other change than that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.config.config import Config
from shared.config.continuing import changed_settings, within
from shared.config.edits import with_settings
from shared.config.stored import read_for_resume, upgrade
from shared.data.dataset import SIDES
from shared.data.row_keys import other_rows, row_keys
from shared.runtime.errors import ConfigError, TrackingError, bullet_list
from shared.runtime.home import Home
from shared.tasks.task import learner_of
from shared.tracking.rows import MODE_NAMES, RunRow
from shared.tracking.store import Store
from simulations.execute import Mode, execute

if TYPE_CHECKING:
    from simulations.twins import PooledTwins

_LENGTH = {
    "centralized": "trainer.max_epochs",
    "federated": "federation.num_rounds",
    "compare": "federation.num_rounds",
}
_UNUSED = {
    "centralized": ("partition", "strategy", "federation", "compare"),
    "federated": ("trainer.max_epochs", "trainer.early_stopping.enabled", "compare"),
    "compare": ("trainer.max_epochs", "trainer.early_stopping"),
}


def resume(
    run_id: int,
    *,
    store: Store,
    home: Home,
    settings: Sequence[str] = (),
    alone: bool = False,
    pooled_twins: PooledTwins | None = None,
) -> int:
    """Go on with a run from its last completed epoch or round, with the settings that it was started with.

    Of a comparison, what is finished stays, and what is missing is trained.

    Parameters
    ----------
    settings : sequence of str
        Changes such as ``federation.num_rounds=20``, with which a completed run is trained on; only what
        `shared.config.continuing.MAY_DIFFER` lists may change.
    alone : bool
        Start no processes, see `simulations.runner.open_runner`.
    pooled_twins : PooledTwins, optional
        Where other comparisons may have the same pooled twins.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    TrackingError
        There is no such run, or it is complete, still running, or of a mode that cannot be resumed.
    ConfigError
        Settings or rows are not those that the run was begun with; the run stays as it was.
    FedtwinError
        As for `execute`.
    """
    run = store.runs.get(run_id)
    if not run.finished:
        raise TrackingError(f"run {run.id} is still {run.status} (process {run.pid} on {run.host})")
    mode = _mode(run)
    then = upgrade(run.config)
    now = with_settings(then, settings)
    if run.status == "completed" and now == then:
        name = _LENGTH[mode]
        raise TrackingError(
            f"run {run.id} is already complete; nothing to resume (to train it on: "
            f"fedtwin resume {run.id} {name}=MORE, now {_at(then, name)})"
        )
    _check_settings(run, then, now, mode=mode, settings=settings)
    cfg = read_for_resume(now, written_as=run.config)
    cfg = cfg.replace("tracking", home=str(home.root), database_url=home.database_url, parent_id=run.parent_id)
    _check_rows(run, cfg, home=home)
    command = f"fedtwin resume {run.id}"
    return execute(
        cfg,
        mode,
        store=store,
        home=home,
        run_id=run.id,
        command=command,
        alone=alone,
        pooled_twins=pooled_twins,
    )


def _mode(run: RunRow) -> Mode:
    if run.training_mode == "local":
        raise TrackingError(
            f"run {run.id} trains one client of comparison {run.parent_id} alone; resume that: "
            f"fedtwin resume {run.parent_id}"
        )
    assert run.training_mode != "sweep", "`simulations.sweeps.resuming` resumes these"
    if run.summary.get("of_runs"):
        raise TrackingError(
            f"run {run.id} compares stored runs and trained nothing; resume these, or compare them again with "
            "fedtwin compare --runs"
        )
    modes: dict[str, Mode] = {"centralized": "centralized", "federated": "federated", "compare": "compare"}
    return modes[run.training_mode]


def _check_settings(
    run: RunRow, then: dict[str, Any], now: dict[str, Any], *, mode: Mode, settings: Sequence[str]
) -> None:
    unused = [text for text in settings if within(text.partition("=")[0], _UNUSED[mode])]
    problems = [f"{text} has no effect on a {MODE_NAMES[run.training_mode]} run" for text in unused]
    problems += changed_settings(then, now, when="when it began", federated=mode != "centralized")
    name = _LENGTH[mode]
    before, after = _at(then, name), _at(now, name)
    if after < before:
        problems.append(f"{name}: {before} when it began, {after} now; it can only be trained for longer")
    seeds = set(_at(then, "compare.seeds") or ()) - set(_at(now, "compare.seeds") or (then["seed"],))
    if mode == "compare" and seeds:
        problems.append(f"compare.seeds: {sorted(seeds)} are trained already; seeds can only be added")
    if run.sweep_id is not None and after != before:
        problems.append(
            f"{name}: run {run.id} is a trial of sweep {run.sweep_id}, whose trials stay comparable"
        )
    elif run.parent_id is not None and after != before:
        problems.append(
            f"{name}: run {run.id} belongs to comparison {run.parent_id}, whose twins have the same length; "
            f"resume that: fedtwin resume {run.parent_id}"
        )
    if problems:
        raise ConfigError(f"run {run.id} cannot be resumed with other settings:\n{bullet_list(problems)}")


def _check_rows(run: RunRow, cfg: Config, *, home: Home) -> None:
    kept = run.summary.get("row_keys")
    if not kept:
        return  # of an earlier version, or it had read no rows yet
    learner = learner_of(cfg)
    sides = ("test",) if run.training_mode == "federated" else SIDES  # as the server reads them
    data = learner.dataset(cache=home.cache, sides=sides)
    problems = other_rows(kept, row_keys(data), when="when it began", at_present="now")
    if problems:
        raise ConfigError(
            f"run {run.id} cannot be resumed on other rows than it was begun with:\n{bullet_list(problems)}"
        )


def _at(snapshot: Any, name: str) -> Any:
    for part in name.split("."):
        snapshot = snapshot[part]
    return snapshot
