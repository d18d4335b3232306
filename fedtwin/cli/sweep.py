"""The command ``sweep``: many trials as one plan, from a file or the command line."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console

from shared.config.settings import CONF_DIR
from shared.runtime.errors import ConfigError, bullet_list
from shared.runtime.home import Home, open_home
from shared.sweeps.axis import SECTION
from shared.sweeps.plan import Plan, add_overrides, read_plan
from shared.tracking.store import Store

PLANS = CONF_DIR / SECTION
_SEARCH = ("sampler", "pruner", "objectives")
_OPTIONS = ("mode", "seeds", "draws", "draw_seed", "retries")


def run_command(options: Namespace) -> None:
    """Check, store and train a plan; with ``--dry-run``, check and print it.

    Parameters
    ----------
    options : Namespace
        From `fedtwin.cli.parser.parse`.

    Raises
    ------
    FedtwinError
    SystemExit
        With status 2 where a trial has failed.
    """
    plan = plan_of(options)
    from simulations.sweeps.sweep import (
        check_plan,
        plan_sweep,
        print_estimate,
    )  # what checks trials loads PyTorch

    home = open_home()
    if options.dry_run:
        trials, _ = check_plan(plan, home=home)
        with Store(home.database_url) as store:
            print_estimate(trials, plan=plan, store=store, workers=options.workers)
        return
    with Store(home.database_url) as store:
        store.runs.settle(home.journals)
        sweep_id = plan_sweep(
            plan, store=store, home=home, name=options.name, reuse=options.reuse, workers=options.workers
        )
        train(sweep_id, options, store=store, home=home)


def train(sweep_id: int, options: Namespace, *, store: Store, home: Home) -> None:
    """Train what is left of a sweep, and print its results.

    Parameters
    ----------
    options : Namespace
        Of ``sweep`` or ``resume``.

    Raises
    ------
    FedtwinError
    SystemExit
        With status 2 where a trial has failed, with 130 where it was stopped.
    """
    from simulations.sweeps.cells import cells_of_sweep
    from simulations.sweeps.sweep import resume_sweep
    from simulations.sweeps.terminal import cells_table

    stopped = False
    try:
        resume_sweep(
            sweep_id,
            store=store,
            home=home,
            workers=options.workers,
            scheduler=options.scheduler,
            results=options.results,
            keep_models=options.keep_models,
        )
    except KeyboardInterrupt:
        stopped = True
    finally:
        cells = cells_of_sweep(store, sweep_id)
        console = Console()
        if any(cell.seeds for cell in cells):
            console.print(cells_table(cells, sweep_id=sweep_id))
            console.print(
                f"summary  {home.sweep_dir(sweep_id)}/report.html, trials.parquet, summary.csv, summary.json",
                soft_wrap=True,
            )
        if store.runs.get(sweep_id).status != "completed":
            print(closing_line(store, sweep_id, scheduler=options.scheduler), file=sys.stderr)
    failed = [trial for trial in store.trials.of_sweep(sweep_id) if trial.status == "failed"]
    for trial in failed:
        run = "" if trial.run_id is None else f" (run {trial.run_id})"
        print(f"trial {trial.number}{run} failed: {trial.error}", file=sys.stderr)
    if stopped:
        sys.exit(130)
    if store.runs.get(sweep_id).status == "failed":
        sys.exit(2)


def closing_line(store: Store, sweep_id: int, *, scheduler: str | None = None) -> str:
    """How a sweep ended that is not complete, and what trains the rest of it.

    Parameters
    ----------
    scheduler : str, optional
        At which it was trained.
    """
    run, counts = store.runs.get(sweep_id), store.trials.counts([sweep_id])[sweep_id]
    how = {"stopped": "was stopped", "failed": "has failed"}.get(run.status, f"is {run.status}")
    why = f" ({run.stop_reason})" if run.status == "stopped" and run.stop_reason else ""
    order = ("completed", "failed", "pruned", "running", "waiting")
    told = ", ".join(f"{counts[status]} {status}" for status in order if counts[status])
    there = "" if scheduler is None else f" --scheduler {scheduler}"
    return f"sweep {sweep_id} {how}{why}. Trials: {told}. Train the rest: fedtwin resume {sweep_id}{there}"


def plan_of(options: Namespace) -> Plan:
    """The plan of a file, with what the command line adds.

    Raises
    ------
    ConfigError
        Names everything that is wrong with the plan itself.
    """
    chosen = [text.partition("=")[2] for text in options.settings if text.partition("=")[0] == SECTION]
    typed = [text for text in options.settings if text.partition("=")[0] != SECTION]
    if len(chosen) + (options.plan is not None) > 1:
        raise ConfigError(f"name one plan: {SECTION}=NAME, or --plan FILE")
    values: dict[str, Any] = {}
    if chosen:
        values = read_file(PLANS / f"{chosen[0]}.yaml", name=chosen[0])
    elif options.plan is not None:
        values = read_file(options.plan)
    values = add_overrides(values, typed)
    for name in _OPTIONS:
        if (given := getattr(options, name)) is not None:
            values[name] = given
    given = {name: getattr(options, name) for name in _SEARCH if getattr(options, name) is not None}
    if options.search is not None:
        given["trials"] = options.search
    if given:
        before = values.get("search")
        if before is None and "trials" not in given:
            raise ConfigError(
                f"--{next(iter(given))} is of a search: say how many choices it tries (--search 20)"
            )
        values["search"] = {**(before if isinstance(before, dict) else {}), **given}
    if options.cell:
        values["cells"] = [*values.get("cells", ()), *map(_cell, options.cell)]
    plan = read_plan(values)
    if not (plan.grid or plan.cells or plan.seeds):
        raise ConfigError(
            "a sweep needs settings with several values: fedtwin sweep strategy=fedavg,fedprox seed=1,2,3 (or "
            f"--cell, --plan FILE, {SECTION}=NAME)"
        )
    return plan


def read_file(path: Path, *, name: str | None = None) -> dict[str, Any]:
    """The values of a plan's file.

    Parameters
    ----------
    name : str, optional
        By which it was chosen among ours.

    Raises
    ------
    ConfigError
        It cannot be read, or is no YAML of names and values.
    """
    import yaml

    if name is not None and (not path.is_file() or Path(name).name != name):
        known = sorted(one.stem for one in PLANS.glob("*.yaml"))
        raise ConfigError(f"{SECTION}={name}: there is no such plan; there are\n{bullet_list(known)}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the plan {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"the plan {path} is no YAML: {reason}") from None
    if not isinstance(content, dict):
        raise ConfigError(
            f"the plan {path} must have names and values, such as grid: {{strategy: [fedavg, fedprox]}}"
        )
    return {str(key): value for key, value in content.items()}


def _cell(text: str) -> dict[str, str]:
    try:
        overrides = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"--cell {text!r} cannot be split into settings: {error}") from None
    if wrong := [one for one in overrides if "=" not in one]:
        raise ConfigError(f"--cell {text!r}: {wrong[0]} has no value; settings are written KEY=VALUE")
    return dict(one.split("=", 1) for one in overrides)
