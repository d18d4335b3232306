"""`checked_sweep`: what a request for a sweep means, and everything that is wrong with any of its trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.jobs.experiments import InvalidExperiment, not_allowed, parts, place_of
from service.jobs.overrides import value_problems, written_overrides, written_value
from shared.config.config import Config
from shared.config.hydra_session import HydraSession
from shared.config.mistakes import parse_override
from shared.runtime.counts import count_of
from shared.runtime.errors import ConfigError, DataError, bullet_list
from shared.sweeps.axis import SECTION, interval_of, size_of, values_of
from shared.sweeps.checks import checked_cells, common
from shared.sweeps.plan import Plan, cells_of, check_size, overrides_of, read_plan
from shared.sweeps.search_axes import corners, search_axes


@dataclass(frozen=True)
class SweepExperiment:
    """A sweep that may be queued; what a job, a schedule and an answer need of it, as of an `Experiment`.

    Attributes
    ----------
    plan : Plan
        Its values are written so that Hydra reads nothing else than what was checked.
    trials : int
        How many there will be; of a search, without those that train the winner once more.
    shared : dict
        The settings that all trials have in common.
    """

    name: str
    plan: Plan
    trials: int
    shared: dict[str, Any]
    dataset_id: int | None = None

    @property
    def stored(self) -> dict[str, Any]:
        """What its job is begun with."""
        return {SECTION: self.plan.model_dump(mode="json")}

    @property
    def shown(self) -> dict[str, Any]:
        """The resolved settings that all trials have, and the plan."""
        return {**self.shared, SECTION: {**self.plan.model_dump(mode="json"), "trials": self.trials}}

    @property
    def overrides(self) -> list[str]:
        """What was asked for, as ``fedtwin sweep`` takes it."""
        plan = self.plan
        values = {key: one if isinstance(one, str) else ",".join(one) for key, one in plan.grid.items()}
        typed = [f"{key}={value}" for key, value in {**plan.settings, **values}.items()]
        typed += [f"--cell '{' '.join(overrides_of(cell))}'" for cell in plan.cells]
        return [*typed, *([f"seed={','.join(map(str, plan.seeds))}"] if plan.seeds else [])]


def checked_sweep(
    plan: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    dataset: str | None,
    run_name: str | None,
    folders: Sequence[Path],
    most_trials: int,
    uploaded: Path | None = None,
    unusable: str | None = None,
    session: HydraSession | None = None,
    also: Callable[[Config], Iterable[str]] = lambda config: (),
) -> SweepExperiment:
    """Read a plan, and compose and check all of its trials; nothing is run.

    Of a search, whose trials nobody knows, the ends of its intervals and each of its choices are checked.
    Hydra's grammar is read in the grid alone (``range(1,4)``, ``interval(0.1,0.5)``), and what comes of it is
    checked as other values are.

    Parameters
    ----------
    plan : mapping
        See `Plan`.
    settings : mapping
        Values by dotted name, which take the place of those of the plan.
    dataset, folders, uploaded, unusable, session
        See `checked_experiment`.
    most_trials : int
        More are refused, before any is composed.
    also : callable
        Gives what else is wrong with a trial's configuration.

    Raises
    ------
    InvalidExperiment
        Names everything that is wrong, and with which trials.
    """
    place = place_of(dataset, folders=folders, uploaded=uploaded, unusable=unusable)
    if unusable is not None:  # what the trials read decides about their settings
        raise InvalidExperiment(place.problems)
    problems = list(place.problems)

    def problems_of(config: Config) -> Iterable[str]:
        return [*not_allowed(config, mode=safe.mode, place=place), *also(config)]

    try:
        asked = read_plan({**plan, "settings": {**plan.get("settings", {}), **settings}})
        safe = _written(asked, most_values=most_trials)
        safe = safe.model_copy(update={"settings": {**place.settings, **safe.settings}})
        trials = check_size(safe, most=most_trials)
        cells = cells_of(safe) if safe.search is None else corners(search_axes(safe))
        if not cells or not (safe.grid or safe.cells or safe.seeds):
            raise ConfigError(f"{SECTION}: has no trials; give settings several values, or name seeds")
        found = checked_cells(safe, cells, session=session, also=problems_of)
    except (ConfigError, DataError) as error:
        problems += parts(str(error))
    if problems:
        raise InvalidExperiment(problems)
    if safe.search is None:  # cells that were named twice are one
        trials = len(cells) * len(safe.seeds or (None,))
    shared = common([config.snapshot() for config in found.values()])
    name = run_name or f"{'sweep' if safe.search is None else 'search'} of {count_of(trials, 'trial')}"
    return SweepExperiment(name, safe, trials, shared)


def _written(plan: Plan, *, most_values: int) -> Plan:
    """A plan whose values are checked, and written by us.

    Raises
    ------
    ConfigError
        Names every one that cannot be.
    """
    problems: list[str] = []

    def plain(values: Mapping[str, Any]) -> dict[str, str]:
        overrides, found = written_overrides(values)
        problems.extend(found)
        return dict(text.split("=", 1) for text in overrides)

    grid: dict[str, Any] = {}
    for key, values in plan.grid.items():
        _, found = written_overrides({key: values})
        problems += found
        if not found:
            try:
                grid[key] = _axis(key, values, most=most_values)
            except ConfigError as error:
                problems += parts(str(error))
    settings, cells = plain(plan.settings), [plain(cell) for cell in plan.cells]
    if problems:
        raise ConfigError(f"the plan is not valid:\n{bullet_list(problems)}")
    return plan.model_copy(update={"settings": settings, "cells": cells, "grid": grid})


def _axis(key: str, values: Any, *, most: int) -> str | list[str]:
    """An axis of a grid: an interval as it is typed, or its values, each of them checked and written."""
    if not (size := size_of(key, values)):
        raise ConfigError(f"{key}={values}: has no values")
    if size > most:
        raise ConfigError(f"{key}: has {size:,} values; a sweep has at most {most:,} trials here")
    if isinstance(values, list):
        return [written_value(one) for one in values]
    if interval_of(key, values) is not None:
        return str(values)
    found = []
    for text in values_of(key, values):
        value = parse_override(f"{key}={text}").value()
        for problem in value_problems(key, value):
            raise ConfigError(problem)
        found.append(written_value(value))
    return found
