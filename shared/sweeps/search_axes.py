"""`search_axes`: the settings that a search chooses among; `corners`: few cells that stand for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.config.data import SplitSection
from shared.runtime.errors import ConfigError, bullet_list
from shared.sweeps.axis import Interval, interval_of, number_text, values_of
from shared.sweeps.plan import Plan
from shared.sweeps.search_plan import SEARCH

# Settings that choose the rows of each side: other rows are not comparable, and may be another's test rows.
ROWS = (
    *(
        "data",
        "task",
        "experiment",
        "data.source",
        "data.path",
        "data.url",
        "data.query",
        "data.table",
        "data.start",
        "data.end",
        "data.columns",
        "data.dataset",
        "data.max_bad_share",
    ),
    *(f"data.{name}" for name in SplitSection.model_fields),
)
_NOT_SEARCHED = ("trainer.monitor", "trainer.mode")  # trials are compared by it

Axes = Mapping[str, Interval | list[str]]


def search_axes(plan: Plan) -> Axes:
    """The axes of a search's grid: an interval of numbers, or values as they are typed, by setting.

    Raises
    ------
    ConfigError
        Names every axis that cannot be searched.
    """
    search = plan.search
    assert search is not None, "only a search chooses among axes"
    axes: dict[str, Interval | list[str]] = {}
    problems = []
    for key, values in plan.grid.items():
        name = key.lstrip("+")
        if name in ROWS or name.startswith("data.columns."):
            problems.append(f"{key} chooses the rows of each side; trials on other rows are not comparable")
        elif name in _NOT_SEARCHED:
            problems.append(f"{key} is what trials are compared by; it is one for all")
        else:
            axes[key] = interval_of(key, values) or values_of(key, values)
    intervals = [one for one in axes.values() if isinstance(one, Interval)]
    if search.sampler == "cmaes" and not problems and (len(intervals) < 2 or len(intervals) < len(axes)):
        problems.append(
            f"{SEARCH}.sampler=cmaes needs two or more intervals of numbers, and no choices; choose tpe"
        )
    if problems:
        raise ConfigError(f"the plan is not valid:\n{bullet_list(problems)}")
    return axes


def overrides_at(axes: Axes, params: Mapping[str, Any]) -> tuple[str, ...]:
    """What a trial is composed with that has one value of each axis."""
    texts = {key: number_text(one) if isinstance(one, float) else str(one) for key, one in params.items()}
    return tuple(f"{key}={texts[key]}" for key in axes)


def corners(axes: Axes) -> list[tuple[str, ...]]:
    """Few cells that have every choice and both ends of each interval, to be checked beforehand."""
    ends: dict[str, list[Any]] = {
        key: [one.low, one.high] if isinstance(one, Interval) else list(one) for key, one in axes.items()
    }
    first = {key: values[0] for key, values in ends.items()}
    cells = [overrides_at(axes, first)]
    for key, values in ends.items():
        cells += [overrides_at(axes, {**first, key: value}) for value in values[1:]]
    return list(dict.fromkeys(cells))
