"""`sweep` and `resume_sweep`: run the trials of a plan, to the last one, as one tracked run."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Sequence
from typing import Any

from shared.config.stored import read_snapshot
from shared.runtime.counts import count_of
from shared.runtime.errors import ConfigError, TrackingError
from shared.runtime.files import replacing
from shared.runtime.home import Home, is_shared
from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from shared.tracking.tracked_run import tracked_run
from shared.tracking.trials import NewTrial
from simulations.sweeps.cells import Cell, cells_of_sweep
from simulations.sweeps.cluster import connect, need_dask, open_cluster, share_out
from simulations.sweeps.coordinator import Coordinator, OnProgress
from simulations.sweeps.plan import Plan, cells_of
from simulations.sweeps.progress import Progress
from simulations.sweeps.reuse import RowKeys, find_reusable
from simulations.sweeps.terminal import SweepBoard, print_plan
from simulations.sweeps.trials import check_parts, common, expand, fix_trials
from simulations.sweeps.worker import stop_trials

_CELLS_S = 3.0
PLAN, CELLS = "sweep", "cells"  # in the summary of a sweep's run


def plan_sweep(plan: Plan, *, store: Store, home: Home, name: str | None = None, reuse: bool = False) -> int:
    """Check every trial of a plan, print and store it; nothing is trained.

    Parameters
    ----------
    name : str, optional
        What its run is called.
    reuse : bool
        Take completed runs for trials that would compute the same: equal settings, but for names and where and
        how fast it is computed, and equal rows.

    Returns
    -------
    int
        Id of the sweep's run, which is pending; `resume_sweep` trains it.

    Raises
    ------
    ConfigError
        Names everything that is wrong with any trial; nothing is stored.
    """
    trials, keys = check_plan(plan, home=home)
    if reuse:
        trials = find_reusable(trials, mode=plan.mode, keys=keys, store=store)
    plain: dict[str, Any] = {**plan.model_dump(mode="json"), "trials": len(trials)}
    return store.trials.create(
        trials,
        name=name or f"sweep of {count_of(len(trials), 'trial')}",
        description=str(plan.settings.get("description", "")),
        config=common([trial.config for trial in trials]),
        summary={PLAN: plain},
    )


def check_plan(plan: Plan, *, home: Home) -> tuple[list[NewTrial], RowKeys]:
    """The trials of a plan, which is printed, and the keys of the rows that they read.

    Raises
    ------
    ConfigError
        Names everything that is wrong with any trial.
    """
    need_dask()
    trials = fix_trials(expand(plan), mode=plan.mode, home=home)
    print_plan(plan, cells_of(plan), trials=len(trials))
    configs = [read_snapshot(trial.config) for trial in trials]
    return trials, check_parts(configs, mode=plan.mode, home=home)


def resume_sweep(
    sweep_id: int,
    *,
    store: Store,
    home: Home,
    workers: int | None = None,
    scheduler: str | None = None,
    on_progress: Sequence[OnProgress] = (),
) -> int:
    """Train what is left of a sweep: trials that wait, that were interrupted, and that failed.

    Parameters
    ----------
    workers : int, optional
        Trials at once; as many as this machine allows by default.
    scheduler : str, optional
        Address of a Dask scheduler whose workers train the trials; a cluster of this machine by default.
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
    run = store.runs.get(sweep_id)
    _check_resumable(run)
    store.trials.reopen(sweep_id)
    trials = store.trials.of_sweep(sweep_id)
    snapshots = store.trials.configs(sweep_id)
    configs = [read_snapshot(snapshot) for snapshot in snapshots.values()]
    left = [trial for trial in trials if trial.status == "waiting"]
    share = share_out(configs, trials=len(left), workers=workers)
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
        try:
            if left:  # all may be reused
                with open_cluster(share) if scheduler is None else connect(scheduler) as client:
                    if scheduler is not None:  # trials of a coordinator that was killed may still train there
                        client.run(stop_trials, sweep_id)
                    where = share.describe() if scheduler is None else _there(client, scheduler)
                    print_share(where, len(left), len(trials))
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
                            on_progress=[board.show, _keep_cells(store, sweep_id), *on_progress],
                        )
                        coordinator.run(client, trials)
        finally:  # every process of the sweep is gone
            store.runs.settle(home.journals)
            store.trials.reopen(sweep_id, failed=False)
            write_summary(store, sweep_id, home=home)
        failed = [trial for trial in store.trials.of_sweep(sweep_id) if trial.status == "failed"]
        if failed:
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
            "seeds",
            "runs",
            *(f"{p}_{e}" for p in parts for e in ends),
        ]
    )
    for one in records:
        numbers = [(one.get(part) or {}).get(end) for part in parts for end in ends]
        lists = [" ".join(map(str, one[name])) for name in ("seeds", "runs")]
        counts = [one["trials"], len(one["seeds"]), one["failed"]]
        writer.writerow([" ".join(one["settings"]), one["metric"], *counts, *lists, *numbers])
    return text.getvalue()


def print_share(text: str, left: int, total: int) -> None:
    """Say how many trials train at once, and how many are to be trained."""
    import sys

    from shared.runtime.notebook import in_notebook

    kept = "" if left == total else f"; {total - left} of {total} are completed already"
    print(f"{text}{kept}", file=sys.stdout if in_notebook() else sys.stderr)


def _keep_cells(store: Store, sweep_id: int) -> OnProgress:
    """Stores what the trials reached by now, for whoever looks at the sweep meanwhile; now and then."""
    due = 0.0

    def keep(progress: Progress) -> None:
        nonlocal due
        if progress.finished is not None and time.monotonic() >= due:
            began = time.monotonic()
            records = [cell.as_dict() for cell in cells_of_sweep(store, sweep_id)]
            store.runs.update(sweep_id, summary={CELLS: records})
            due = time.monotonic() + max(_CELLS_S, 50 * (time.monotonic() - began))

    return keep


def _there(client: Any, scheduler: str) -> str:
    return (
        f"training {count_of(sum(client.nthreads().values()), 'trial')} at once on the workers of {scheduler}"
    )


def _check_resumable(run: RunRow) -> None:
    if run.training_mode != "sweep":
        raise TrackingError(f"run {run.id} is no sweep")
    if run.status == "running":
        raise TrackingError(f"run {run.id} is still running (process {run.pid} on {run.host})")
    if run.status == "completed":
        raise TrackingError(f"run {run.id} is already complete; nothing to resume")
