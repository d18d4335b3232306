"""`sweep` and `resume_sweep`: run the trials of a plan, to the last one, as one tracked run."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from shared.config.config import Config
from shared.config.model import REGISTRY
from shared.config.stored import read_snapshot
from shared.runtime.counts import count_of
from shared.runtime.errors import ConfigError, TrackingError
from shared.runtime.files import replacing
from shared.runtime.home import Home, is_shared
from shared.runtime.notebook import in_notebook
from shared.runtime.waiting import waiting
from shared.sweeps.checks import common
from shared.sweeps.plan import Plan, absolute, cells_of, read_plan
from shared.sweeps.search_axes import corners, search_axes
from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from shared.tracking.tracked_run import tracked_run
from shared.tracking.trials import NewTrial
from simulations.sweeps.apart import reaches
from simulations.sweeps.cells import Cell, cells_of_sweep
from simulations.sweeps.cluster import connect, need_dask, open_cluster, share_out
from simulations.sweeps.coordinator import Coordinator, OnProgress
from simulations.sweeps.estimate import estimate
from simulations.sweeps.objectives import Objectives, find_metric
from simulations.sweeps.order import ResultsBy
from simulations.sweeps.progress import Progress
from simulations.sweeps.reuse import RowKeys, find_reusable
from simulations.sweeps.search import Search, need_optuna
from simulations.sweeps.stopping import forget
from simulations.sweeps.terminal import SweepBoard, print_plan, print_search
from simulations.sweeps.trials import check_corners, check_parts, expand, fix_trials
from simulations.sweeps.worker import stop_trials

_CELLS_S = 10.0
Begin = Callable[..., int]
PLAN, CELLS, SEARCH = "sweep", "cells", "search"  # in the summary of a sweep's run


def plan_sweep(
    plan: Plan,
    *,
    store: Store,
    home: Home,
    name: str | None = None,
    reuse: bool = False,
    workers: int | None = None,
    begin: Begin | None = None,
) -> int:
    """Check every trial of a plan, print and store it; nothing is trained.

    Parameters
    ----------
    name : str, optional
        What its run is called.
    reuse : bool
        Take completed runs for trials that would compute the same: equal settings, but for names and where and
        how fast it is computed, and equal rows.
    workers : int, optional
        Trials at once, for the estimate of time.
    begin : callable, optional
        Stores the sweep, as `Trials.create`, which it is by default.

    Returns
    -------
    int
        Id of the sweep's run, which is pending; `resume_sweep` trains it.

    Raises
    ------
    ConfigError
        Names everything that is wrong with any trial; nothing is stored.
    """
    if plan.search is not None:
        return _plan_search(plan, store=store, home=home, name=name, reuse=reuse, workers=workers, begin=begin)
    trials, keys = check_plan(plan, home=home)
    if reuse:
        trials = find_reusable(trials, mode=plan.mode, keys=keys, store=store)
    left = [trial for trial in trials if trial.run_id is None]
    print_estimate(left, plan=plan, store=store, workers=workers)
    plain: dict[str, Any] = {**plan.model_dump(mode="json"), "trials": len(trials)}
    return (begin or store.trials.create)(
        trials,
        name=name or f"sweep of {count_of(len(trials), 'trial')}",
        description=str(plan.settings.get("description", "")),
        config=common([trial.config for trial in trials]),
        summary={PLAN: plain},
    )


def print_estimate(trials: Sequence[NewTrial], *, plan: Plan, store: Store, workers: int | None) -> None:
    """Say how long a plan takes, on standard error, by what earlier runs took.

    Parameters
    ----------
    trials : sequence of NewTrial
        That are to be trained; of a search, some that may be.
    """
    if not trials:
        return
    search = plan.search
    count = len(trials) if search is None else (search.trials + 1) * len(plan.seeds or (0,))
    share = share_out([read_snapshot(trial.config) for trial in trials], trials=count, workers=workers)
    print_line(estimate(trials, mode=plan.mode, store=store, count=count, workers=share.workers))


def check_plan(plan: Plan, *, home: Home) -> tuple[list[NewTrial], RowKeys]:
    """The trials of a plan, which is printed, and the keys of the rows that they read.

    Raises
    ------
    ConfigError
        Names everything that is wrong with any trial.
    """
    need_dask()
    if plan.search is not None:
        need_optuna()
        trials = check_corners(plan, corners(search_axes(plan)))
        print_search(plan)
    else:
        trials = expand(plan)
        print_plan(plan, cells_of(plan), trials=len(trials))
    trials = fix_trials(trials, mode=plan.mode, home=home)
    configs = [read_snapshot(trial.config) for trial in trials]
    return trials, check_parts(configs, mode=plan.mode, home=home)


def _plan_search(
    plan: Plan,
    *,
    store: Store,
    home: Home,
    name: str | None,
    reuse: bool,
    workers: int | None,
    begin: Begin | None,
) -> int:
    """See `plan_sweep`; the first trials are asked for."""
    if reuse:
        raise ConfigError(
            "--reuse has no effect on a search: its trials leave the test set alone; leave it out"
        )
    plan = plan.model_copy(update={"settings": absolute(plan.settings)})  # it may be resumed in another folder
    corners, _ = check_plan(plan, home=home)
    digests = {trial.config["data"].get("digest") for trial in corners}
    if len(digests) == 1 and (digest := digests.pop()) is not None:  # all trials have the rows of one query
        plan = plan.model_copy(update={"settings": {**plan.settings, "data.digest": digest}})
    objectives = _objectives(plan, read_snapshot(corners[0].config), home=home)
    assert plan.search is not None
    total = plan.search.trials * len(plan.seeds or (0,))
    print_estimate(corners, plan=plan, store=store, workers=workers)
    sweep_id = (begin or store.trials.create)(
        [],
        name=name or f"search of {count_of(total, 'trial')}",
        description=str(plan.settings.get("description", "")),
        config=common([trial.config for trial in corners]),
        summary={
            PLAN: {**plan.model_dump(mode="json"), "trials": total},
            SEARCH: {"objectives": list(objectives.names), "key": objectives.key, "mode": objectives.mode},
        },
        seed=corners[0].seed,
    )
    Search(plan, objectives=objectives, sweep_id=sweep_id, store=store).ask()
    return sweep_id


def _objectives(plan: Plan, cfg: Config, *, home: Home) -> Objectives:
    from shared.tasks.task import learner_of

    assert plan.search is not None
    learner = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    if not len(data.indices("val")):
        raise ConfigError("a search compares trials by validation rows, and there are none (data.val_fraction)")
    key, mode = find_metric(cfg, spec=learner.spec(data.schema), given=plan.search.metric)
    return Objectives(plan.search.objectives, key, mode)


def stored_search(run: RunRow, *, store: Store) -> Search | None:
    """The search of a stored sweep, with all that its trials have reached by now; None of a sweep without one.

    Raises
    ------
    ConfigError
        Optuna is not installed.
    """
    found = run.summary.get(SEARCH)
    if found is None:
        return None
    plan = read_plan(
        {name: run.summary[PLAN].get(name) for name in Plan.model_fields if name in run.summary[PLAN]}
    )
    objectives = Objectives(tuple(found["objectives"]), found["key"], found["mode"])
    return Search(plan, objectives=objectives, sweep_id=run.id, store=store)


def resume_sweep(
    sweep_id: int,
    *,
    store: Store,
    home: Home,
    workers: int | None = None,
    scheduler: str | None = None,
    results: ResultsBy | None = None,
    keep_models: bool = False,
    on_progress: Sequence[OnProgress] = (),
) -> int:
    """Train what is left of a sweep: trials that wait, that were interrupted, and that failed.

    Parameters
    ----------
    workers : int, optional
        Trials at once; as many as this machine allows by default.
    scheduler : str, optional
        Address of a Dask scheduler whose workers train the trials; a cluster of this machine by default.
    results : {"database", "dask"}, optional
        How the results of a scheduler's workers get here: they write them into the same database, or send them
        through Dask and this process writes them. By default they are asked whether they reach it.
    keep_models : bool
        Whether the chosen models come through Dask, too.
    on_progress : sequence of callable
        Called with a `Progress` whenever a trial ends, and every second.

    Returns
    -------
    int
        The run's id. It has failed where a trial has, and is completed otherwise.

    Raises
    ------
    TrackingError
        There is no such sweep, or it is complete, or still running.
    SchedulerLost
        The scheduler does not answer, or no longer; trials that have ended are kept.
    KeyboardInterrupt
        Trials that have ended are kept; those under way have stopped, and go on when this is called again.
    """
    need_dask()
    if scheduler is not None and workers is not None:
        raise ConfigError(f"--workers has no effect on the workers of {scheduler}; leave one of them out")
    if scheduler is None and (results is not None or keep_models):
        raise ConfigError("--results and --keep-models are of the workers of another scheduler (--scheduler)")
    run = store.runs.get(sweep_id)
    _check_resumable(run)
    store.trials.reopen(sweep_id, failed=SEARCH not in run.summary)
    search = stored_search(run, store=store)
    if search is not None and not search.asked:
        search.ask()
    trials = store.trials.of_sweep(sweep_id)
    snapshots = store.trials.configs(sweep_id)
    configs = [read_snapshot(snapshot) for snapshot in snapshots.values()]
    left = [trial for trial in trials if trial.status == "waiting"]
    to_come = search.to_come if search is not None else 0
    share = share_out(configs, trials=len(left) + to_come, workers=workers)
    # A file is no database of several machines: where it is one, they see this home too.
    workers_home = str(home.root) if scheduler is None or store.kind == "sqlite" else None
    cfg = configs[0].replace("tracking", home=str(home.root), database_url=home.database_url, run_id=sweep_id)
    plan = run.summary[PLAN]
    with tracked_run(
        store,
        cfg,
        mode="sweep",
        folder=home.run_dir,
        journals=home.journals,
        resume=run.finished,
        snapshot=run.config,
    ):
        forget(store, sweep_id)
        try:
            if left or search is not None:  # all may be reused
                with open_cluster(share) if scheduler is None else connect(scheduler) as client:
                    if scheduler is not None:  # trials of a coordinator that was killed may still train there
                        client.run(stop_trials, sweep_id)
                        results = results or _how_results_get_here(client, run, database_url=home.database_url)
                        _check_apart(results, keep_models=keep_models, configs=configs, search=search)
                    where = share.describe() if scheduler is None else _there(client, scheduler)
                    print_share(where, len(left) + to_come, len(trials) + to_come)
                    with SweepBoard(store) as board:
                        coordinator = Coordinator(
                            sweep_id,
                            mode=plan["mode"],
                            retries=plan["retries"],
                            threads=share.threads,
                            workers_home=workers_home,
                            configs=snapshots,
                            store=store,
                            home=home,
                            apart=results == "dask",
                            keep_models=keep_models,
                            on_progress=[board.show, _keep_cells(store, sweep_id), *on_progress],
                        )
                        coordinator.run(client, trials, search=search)
                        if search is not None and (winner := search.test_winner()):
                            coordinator.run(client, winner)  # the test set is opened, once
        finally:  # every process of the sweep is gone
            store.runs.settle(home.journals)
            store.trials.reopen(sweep_id, failed=False)
            cells = write_summary(store, sweep_id, home=home)
            write_report(store, sweep_id, home=home)
        failed = [trial for trial in store.trials.of_sweep(sweep_id) if trial.status == "failed"]
        untested = search is not None and not any(one.is_winner and one.seeds for one in cells)
        if failed and (search is None or untested):  # of a search, some settings may fail
            first = f"trial {failed[0].number}: {(failed[0].error or '').partition(chr(10))[0]}"
            text = f"{len(failed)} of {count_of(len(trials), 'trial')} failed, such as {first}"
            store.runs.finish(sweep_id, "failed", error=text)
    return sweep_id


def write_summary(store: Store, sweep_id: int, *, home: Home) -> list[Cell]:
    """Store what the trials reached by now, and write ``summary.json`` and ``summary.csv``."""
    cells = cells_of_sweep(store, sweep_id)
    records = [cell.as_dict() for cell in cells]
    store.runs.update(sweep_id, summary={CELLS: records})
    folder = home.sweep_dir(sweep_id)
    mode = 0o666 if is_shared() else 0o600
    text = json.dumps({"sweep": sweep_id, "cells": records}, indent=2, ensure_ascii=False)
    with replacing(folder / "summary.json", mode=mode) as file:
        file.write(f"{text}\n".encode())
    with replacing(folder / "summary.csv", mode=mode) as file:
        file.write(cells_csv(records).encode())
    return cells


def write_report(store: Store, sweep_id: int, *, home: Home) -> None:
    """Write ``report.html`` and ``trials.parquet``, where a trial is complete."""
    if not store.trials.counts([sweep_id])[sweep_id]["completed"]:
        return
    from simulations.sweeps.report import write_sweep_report  # matplotlib, which nothing else here needs

    with waiting("drawing the figures and writing the report", show=sys.stderr.isatty()):
        write_sweep_report(store, sweep_id, home=home)


def cells_csv(records: Sequence[dict[str, Any]]) -> str:
    """Cells as CSV, one line each; what is not defined is empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    parts, ends = ("pooled", "federated", "gap"), ("mean", "low", "high")
    writer.writerow(
        [
            "settings",
            "metric",
            "trials",
            "completed",
            "failed",
            "pruned",
            "is_winner",
            *(sought := list(dict.fromkeys(name for one in records for name in one["sought"]))),
            "seeds",
            "runs",
            *(f"{p}_{e}" for p in parts for e in ends),
        ]
    )
    for one in records:
        numbers = [(one.get(part) or {}).get(end) for part in parts for end in ends]
        lists = [" ".join(map(str, one[name])) for name in ("seeds", "runs")]
        counts = [one["trials"], len(one["seeds"]), one["failed"], one["pruned"], int(one["is_winner"])]
        counts += [one["sought"].get(name) for name in sought]
        writer.writerow([" ".join(one["settings"]), one["metric"], *counts, *lists, *numbers])
    return text.getvalue()


def print_share(text: str, left: int, total: int) -> None:
    """Say how many trials train at once, and how many are to be trained."""
    kept = "" if left == total else f"; {total - left} of {total} are completed already"
    print_line(f"{text}{kept}")


def print_line(text: str) -> None:
    """Print a line that is no result: on standard error, but in a notebook, where that is red."""
    print(text, file=sys.stdout if in_notebook() else sys.stderr)


def _keep_cells(store: Store, sweep_id: int) -> OnProgress:
    """Stores what the trials reached by now, for whoever looks at the sweep meanwhile; now and then."""
    due = 0.0

    def keep(progress: Progress) -> None:
        nonlocal due
        if progress.finished is not None and time.monotonic() >= due:
            began = time.monotonic()
            records = [cell.as_dict() for cell in cells_of_sweep(store, sweep_id)]
            store.runs.update(sweep_id, summary={CELLS: records})
            due = time.monotonic() + max(_CELLS_S, 200 * (time.monotonic() - began))

    return keep


def _there(client: Any, scheduler: str) -> str:
    return (
        f"training {count_of(sum(client.nthreads().values()), 'trial')} at once on the workers of {scheduler}"
    )


def _how_results_get_here(client: Any, run: RunRow, *, database_url: str) -> ResultsBy:
    """Ask every worker whether it reaches the database, and say it where one does not."""
    found = client.run(reaches, database_url, run.id, run.started.isoformat())
    without = sum(not one for one in found.values())
    if not without:
        return "database"
    print_line(
        f"{without} of {count_of(len(found), 'worker')} cannot write to the database of this sweep: results "
        "come back through Dask (--results dask)"
    )
    return "dask"


def _check_apart(
    results: ResultsBy, *, keep_models: bool, configs: Sequence[Config], search: Search | None
) -> None:
    if results == "database":
        if keep_models:
            raise ConfigError(
                "--keep-models has no effect: the workers write to the database, and keep models in their home "
                "(--results dask brings them here)"
            )
        return
    if search is not None and search.plan.search is not None and search.plan.search.pruner != "none":
        raise ConfigError(
            f"search.pruner={search.plan.search.pruner} looks at the rounds of trials as they are written, and "
            "without a shared database they arrive when a trial has ended: choose pruner=none"
        )
    if any((cfg.model.weights or "").startswith(REGISTRY) for cfg in configs):
        raise ConfigError(
            "model.weights=registry:... is read from the database, which the workers do not reach: name the "
            "file of the weights"
        )


def _check_resumable(run: RunRow) -> None:
    if run.training_mode != "sweep":
        raise TrackingError(f"run {run.id} is no sweep")
    if run.status == "running":
        raise TrackingError(f"run {run.id} is still running (process {run.pid} on {run.host})")
    if run.status == "completed":
        raise TrackingError(f"run {run.id} is already complete; nothing to resume")
