"""`sweep`: many trials as one plan, for scripts and notebooks; `Sweep` is what they reached."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fedtwin.places import Place, find_home, open_store
from fedtwin.records import Run, id_and_home
from shared.runtime.errors import ConfigError, TrackingError

if TYPE_CHECKING:
    import pandas as pd

    from simulations.sweeps.progress import Progress


@dataclass(frozen=True)
class Sweep:
    """A sweep as it was stored when this object was made.

    Attributes
    ----------
    run : Run
        Its id is that of `fedtwin.resume`; ``failed`` where a trial has failed.
    cells : DataFrame
        One row a cell, by its settings: ``metric``, ``seeds`` and ``trials`` (how many are completed, of how
        many), and the mean over the seeds with the ends of its interval of what was measured on the test rows:
        ``pooled``, ``pooled_low``, ``pooled_high``, ``federated`` ..., ``gap`` ... (positive is worse). Of a
        search also its objectives, and ``is_winner``: the test rows of its settings alone were looked at.
    trials : DataFrame
        One row a trial, by its number: ``settings``, ``seed``, ``status``, ``tries``, ``run_id``, ``error``.
    """

    run: Run
    cells: pd.DataFrame = field(repr=False)
    trials: pd.DataFrame = field(repr=False)

    @property
    def id(self) -> int:
        """Its number, as in ``fedtwin runs``."""
        return self.run.id

    @property
    def complete(self) -> bool:
        """Whether every trial is."""
        return self.run.status == "completed"

    def __str__(self) -> str:
        return self.cells.to_string()

    def _repr_html_(self) -> str:
        return self.cells.to_html()


def sweep(
    settings: str | Sequence[str] = (),
    *,
    grid: Mapping[str, Any] | None = None,
    cells: Sequence[Mapping[str, Any]] = (),
    draws: int | None = None,
    draw_seed: int = 0,
    seeds: Sequence[int] | None = None,
    search: Mapping[str, Any] | None = None,
    mode: str = "comparison",
    retries: int = 1,
    workers: int | None = None,
    scheduler: str | None = None,
    results: Literal["database", "dask"] | None = None,
    keep_models: bool = False,
    name: str | None = None,
    reuse: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    store: Place = None,
) -> Sweep:
    """Train every trial of a plan, several at a time, with Dask.

    Everything is checked before anything is trained. A trial that fails is tried again, and never ends the
    others: look at ``complete`` and ``trials``.

    Parameters
    ----------
    settings : str or sequence of str
        Overrides as on the command line; one with several values (``strategy=fedavg,fedprox``) is an axis of
        the grid, and ``seed=1,2,3`` names the seeds.
    grid : mapping of str to list, optional
        Values by the name of a setting: every combination is a cell.
    cells : sequence of mapping
        Cells that are named one by one: settings by name.
    draws : int, optional
        So many combinations of the grid are drawn, which may then have intervals such as
        ``"tag(log,interval(0.001,0.1))"``.
    seeds : sequence of int, optional
        Each cell is trained with each of them.
    search : mapping, optional
        Tries so many combinations of the grid, each proposed by what those before reached on validation rows:
        ``{"trials": 20}``, and ``sampler``, ``pruner``, ``objectives``, ``metric`` and ``seed``, see
        `shared.sweeps.search_plan.SearchPlan`. The winner is trained once more, and tested.
    mode : {"comparison", "pooled", "federated"}
    workers : int, optional
        Trials at once; as many as cores, memory and GPUs allow by default.
    scheduler : str, optional
        Address of a Dask scheduler that runs already, such as ``tcp://host:8786``, whose workers train the
        trials.
    results : {"database", "dask"}, optional
        How the results of that scheduler's workers get here: they write them into the same database, or send
        them through Dask. By default they are asked whether they reach it.
    keep_models : bool
        Whether the chosen models come through Dask, too.
    reuse : bool
        Take completed runs with the same settings and rows for trials.
    on_progress : callable, optional
        Called with a `Progress` (``done``, ``running``, ``failed``, ``waiting``, ``best`` ...) whenever a trial
        ends, and every second.
    store : str or Path, optional
        See `fedtwin.compare`.

    Raises
    ------
    ConfigError
        Names everything that is wrong with any trial; nothing was trained.
    KeyboardInterrupt
        Trials that have ended are kept: ``fedtwin.resume`` with the sweep's number trains the others.

    Examples
    --------
    >>> found = fedtwin.sweep("strategy=fedavg,fedprox partition.alpha=0.1,1", seeds=[1, 2, 3])
    >>> found.cells[["pooled", "federated", "gap", "gap_low", "gap_high"]]
    """
    from shared.sweeps.plan import add_overrides, read_plan
    from simulations.sweeps.sweep import plan_sweep, resume_sweep

    try:
        typed = shlex.split(settings) if isinstance(settings, str) else list(settings)
    except ValueError as error:
        raise ConfigError(f"{settings!r} cannot be split into overrides: {error}") from None
    values = {
        "grid": dict(grid or {}),
        "cells": [dict(cell) for cell in cells],
        "draws": draws,
        "draw_seed": draw_seed,
        "seeds": None if seeds is None else list(seeds),
        "search": None if search is None else dict(search),
        "mode": mode,
        "retries": retries,
    }
    plan = read_plan(add_overrides(values, typed))
    home = find_home(store)
    with open_store(home) as opened:
        sweep_id = plan_sweep(plan, store=opened, home=home, name=name, reuse=reuse, workers=workers)
        told = [] if on_progress is None else [on_progress]
        resume_sweep(
            sweep_id,
            store=opened,
            home=home,
            workers=workers,
            scheduler=scheduler,
            results=results,
            keep_models=keep_models,
            on_progress=told,
        )
    return load_sweep(sweep_id, store=store)


def load_sweep(run: int | Run, *, store: Place = None) -> Sweep:
    """A sweep, with what its trials reached by now.

    Parameters
    ----------
    store : str or Path, optional
        See `fedtwin.compare`; not needed for a `Run`.

    Raises
    ------
    TrackingError
        There is no such run, or it is no sweep.
    """
    import pandas as pd

    from simulations.sweeps.cells import NUMBERS, cells_of_sweep

    run_id, home = id_and_home(run, store=store)
    with open_store(home) as opened:
        row = opened.runs.get(run_id)
        if row.training_mode != "sweep":
            raise TrackingError(f"run {run_id} is no sweep ({Run(row, home).mode})")
        cells, trials = cells_of_sweep(opened, run_id), opened.trials.of_sweep(run_id)
    records, is_search = [], any(cell.sought or cell.is_winner for cell in cells)
    for cell in cells:
        values: dict[str, Any] = {
            "settings": " ".join(cell.settings),
            "metric": cell.metric,
            "seeds": len(cell.seeds),
            "trials": cell.trials,
            **({"is_winner": cell.is_winner, **cell.sought} if is_search else {}),
        }
        for name, number in ((name, cell.numbers[name]) for name in NUMBERS if name in cell.numbers):
            values |= {name: number.value, f"{name}_low": number.low, f"{name}_high": number.high}
        records.append(values)
    listed = [{**trial.as_dict(), "settings": " ".join(trial.settings)} for trial in trials]
    kept = ["number", "settings", "seed", "status", "tries", "run_id", "error"]
    return Sweep(
        run=Run(row, home),
        cells=pd.DataFrame(records).set_index("settings"),
        trials=pd.DataFrame(listed)[kept].astype({"run_id": "Int64"}).set_index("number"),
    )
