"""`Plan`: which trials a sweep has: a grid, a list or random draws over any settings, for each seed."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from shared.config.compose import PATHS
from shared.config.mistakes import parse_override
from shared.config.overrides import quote_texts
from shared.config.problems import check_settings
from shared.config.section import Positive, Section
from shared.runtime.errors import ConfigError, FedtwinError, bullet_list
from shared.sweeps.axis import SECTION, drawn, interval_of, size_of, value_text, values_of
from shared.sweeps.search_plan import SEARCH, SearchPlan
from shared.tracking.rows import MODE_NAMES, STORED_MODES

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

Mode = Literal["centralized", "federated", "compare"]  # as of `simulations.execute`, which loads PyTorch
SEED = "seed"
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Plan(Section):
    """A sweep as it is asked for.

    Attributes
    ----------
    settings : dict of str to Any
        What all trials have, by name.
    grid : dict of str to Any
        Several values by name: a list, or a text in the grammar of Hydra's ``--multirun``. Every combination
        is a cell; with ``draws``, so many combinations are drawn.
    cells : list of dict of str to Any
        Cells that are named one by one; with a grid, each of them is combined with all of it.
    seeds : list of int, or None
        Each cell is trained with each of them; None: with the seed of the settings.
    search : SearchPlan, optional
        Tries some combinations of the grid, each proposed by what those before have reached.
    retries : int
        How often a trial that failed is tried again, unless it cannot but fail again.
    """

    mode: Mode = "compare"
    settings: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, Any] = Field(default_factory=dict)
    cells: list[dict[str, Any]] = Field(default_factory=list)
    draws: Positive | None = None
    draw_seed: Seed = 0
    seeds: tuple[Seed, ...] | None = None
    search: SearchPlan | None = None
    retries: Annotated[int, Field(ge=0, le=100)] = 1

    @field_validator("mode", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return STORED_MODES.get(value, value) if isinstance(value, str) else value  # such as "pooled"

    @model_validator(mode="after")
    def _whole(self) -> Plan:
        if self.seeds is not None and (not self.seeds or len(set(self.seeds)) < len(self.seeds)):
            raise ValueError(
                f"{SECTION}.seeds must name at least one seed, each once, got {[*self.seeds]}: an interval "
                "over seeds needs different ones"
            )
        if self.draws is not None and not self.grid:
            raise ValueError(
                f"{SECTION}.draws={self.draws} draws from nothing: give settings several values, such as "
                "trainer.optimizer.lr='tag(log,interval(0.001,0.1))'"
            )
        if self.search is not None:
            self._check_search(self.search)
        named = [SEED in part for part in (self.settings, self.grid, *self.cells)]
        if any(named):
            raise ValueError(f"{SECTION}: the seeds of the trials are {SECTION}.seeds=[1,2,3], not a setting")
        return self

    def _check_search(self, search: SearchPlan) -> None:
        if not self.grid:
            raise ValueError(
                f"{SEARCH} searches nothing: give settings several values or an interval, such as "
                "trainer.optimizer.lr='tag(log,interval(0.001,0.1))'"
            )
        if self.cells or self.draws is not None:
            other = "cells" if self.cells else "draws"
            raise ValueError(f"{SEARCH} proposes the trials itself; leave {SECTION}.{other} out")
        if search.pruner != "none" and len(self.seeds or (0,)) > 1:
            raise ValueError(
                f"{SEARCH}.pruner={search.pruner}: a trial is stopped by one curve, and each has "
                f"{len(self.seeds or ())} seeds; name one seed, or pruner=none"
            )
        needs = {"gap": ("compare",), "bytes": ("compare", "federated")}
        wrong = [name for name in search.objectives if self.mode not in needs.get(name, (self.mode,))]
        if wrong:
            raise ValueError(
                f"{SEARCH}.objectives: {wrong[0]} is not measured by {MODE_NAMES[self.mode]} trials; it needs "
                f"{SECTION}.mode={' or '.join(MODE_NAMES[one] for one in needs[wrong[0]])}"
            )


def check_size(plan: Plan, *, most: int) -> int:
    """How many trials a plan has, at most; they are counted without being made.

    Raises
    ------
    ConfigError
        More than `most`, or an axis cannot be read.
    """
    seeds, search = len(plan.seeds or (None,)), plan.search
    sizes = {key: size_of(key, values) for key, values in plan.grid.items()}
    if search is not None:
        count = search.trials * seeds
    else:
        combined = math.prod(sizes.values()) if plan.draws is None else plan.draws
        count = combined * len(plan.cells or (None,)) * seeds
    largest = max(sizes.values(), default=0)  # of a search, every choice is checked
    if max(count, largest) > most:
        raise ConfigError(
            f"{SECTION}: {max(count, largest):,} trials; at most {most:,} may be asked for at once"
        )
    return count


def read_plan(values: Mapping[str, Any]) -> Plan:
    """Check plain values, such as those of a file of ``conf/sweep/``.

    Raises
    ------
    ConfigError
        Names everything that is wrong.
    """
    return check_settings(Plan, values, section=SECTION)


def absolute(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which files and folders have their whole path."""
    names = {f"{section}.{name}" for section, name in PATHS}
    return {
        key: str(Path(value).expanduser().absolute()) if key in names and isinstance(value, str) else value
        for key, value in settings.items()
    }


def add_overrides(plan: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The values of a plan with overrides as they are typed: several values make an axis of the grid.

    Parameters
    ----------
    plan : mapping
        See `read_plan`; what the overrides name takes the place of what it has.

    Raises
    ------
    ConfigError
        Names every override that cannot be read.
    """
    values = {**plan, "settings": plan.get("settings") or {}, "grid": plan.get("grid") or {}}
    if not all(isinstance(values[part], Mapping) for part in ("settings", "grid")):
        return values  # `read_plan` says so
    values |= {part: dict(values[part]) for part in ("settings", "grid")}
    problems = []
    for text in quote_texts(overrides, sweep=True):
        try:
            override = parse_override(text)
        except ConfigError as error:
            problems.append(str(error))
            continue
        key, _, value = text.partition("=")
        several = override.is_sweep_override()
        for part in ("settings", "grid"):
            values[part].pop(key, None)
        if key.lstrip("+") == SEED:
            values["seeds"] = _numbers(text, override) if several else [override.value()]
        else:
            values["grid" if several else "settings"][key] = value
    if problems:
        raise ConfigError(f"the command line is not valid:\n{bullet_list(problems)}")
    return values


def cells_of(plan: Plan) -> list[tuple[str, ...]]:
    """The settings of each cell, as overrides, without those that all have; each cell once, in order.

    Raises
    ------
    ConfigError
        Names every setting whose values cannot be read.
    """
    problems: list[str] = []
    for key, values in plan.grid.items():
        try:
            interval_of(key, values)  # reads it
        except FedtwinError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(f"the plan is not valid:\n{bullet_list(problems)}")
    listed = [overrides_of(one) for one in plan.cells] or [()]
    if plan.draws is None:
        choices = [[f"{key}={value}" for value in values_of(key, axis)] for key, axis in plan.grid.items()]
        combined: Iterator[tuple[str, ...]] = itertools.product(*choices)
    else:
        chance = random.Random(plan.draw_seed)
        combined = (
            tuple(f"{key}={drawn(key, axis, chance)}" for key, axis in plan.grid.items())
            for _ in range(plan.draws)
        )
    combined_once = list(dict.fromkeys(combined))
    return list(dict.fromkeys((*one, *more) for one in listed for more in combined_once))


def overrides_of(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings by name as overrides."""
    return tuple(f"{key}={value_text(value)}" for key, value in settings.items())


def _numbers(text: str, override: Override) -> list[int]:
    values = [str(one) for one in override.sweep_string_iterator()] if not override.is_interval_sweep() else []
    if not values or not all(one.isascii() and one.isdecimal() for one in values):
        raise ConfigError(f"{text}: expected whole numbers, such as {SEED}=1,2,3")
    return list(map(int, values))
