"""`Space`: the settings that a search chooses among, as Optuna's distributions and as overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.config.data import SplitSection
from shared.runtime.errors import ConfigError, bullet_list
from simulations.sweeps.plan import Plan, interval_of, values_of
from simulations.sweeps.search_plan import SEARCH

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

# Settings that choose the rows of each side: other rows are not comparable, and may be another's test rows.
ROWS = (
    *(
        "data",
        "task",
        "experiment",
        "data.source",
        "data.path",
        "data.columns",
        "data.dataset",
        "data.max_bad_share",
    ),
    *(f"data.{name}" for name in SplitSection.model_fields),
)
_NOT_SEARCHED = ("trainer.monitor", "trainer.mode")  # trials are compared by it
_DIGITS = 4


class Space:
    """The axes of a plan's grid.

    Attributes
    ----------
    axes : dict of str to BaseDistribution
        By setting: an interval of numbers, or a choice among texts as they are typed.

    Raises
    ------
    ConfigError
        Names every axis that cannot be searched.
    """

    def __init__(self, plan: Plan) -> None:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        search = plan.search
        assert search is not None, "only a search has a space"
        self.axes: dict[str, BaseDistribution] = {}
        problems = []
        for key, values in plan.grid.items():
            name = key.lstrip("+")
            if name in ROWS or name.startswith("data.columns."):
                problems.append(f"{key} chooses the rows of each side; trials on other rows are not comparable")
                continue
            if name in _NOT_SEARCHED:
                problems.append(f"{key} is what trials are compared by; it is one for all")
                continue
            interval = interval_of(key, values)
            if interval is None:
                self.axes[key] = CategoricalDistribution(values_of(key, values))
            elif isinstance(interval.low, int) and isinstance(interval.high, int):
                self.axes[key] = IntDistribution(interval.low, interval.high, log=interval.log)
            else:
                self.axes[key] = FloatDistribution(interval.low, interval.high, log=interval.log)
        numeric = [one for one in self.axes.values() if not isinstance(one, CategoricalDistribution)]
        if search.sampler == "cmaes" and not problems and (len(numeric) < 2 or len(numeric) < len(self.axes)):
            problems.append(
                f"{SEARCH}.sampler=cmaes needs two or more intervals of numbers, and no choices; choose tpe"
            )
        if problems:
            raise ConfigError(f"the plan is not valid:\n{bullet_list(problems)}")

    def overrides(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """What the trial of a proposal is composed with."""
        texts = {
            key: f"{one:.{_DIGITS}g}" if isinstance(one, float) else str(one) for key, one in params.items()
        }
        return tuple(f"{key}={texts[key]}" for key in self.axes)

    def suggest(self, trial: Trial, key: str) -> None:
        """Let a sampler choose one value."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        axis = self.axes[key]
        if isinstance(axis, CategoricalDistribution):
            trial.suggest_categorical(key, axis.choices)
        elif isinstance(axis, IntDistribution):
            trial.suggest_int(key, axis.low, axis.high, log=axis.log)
        elif isinstance(axis, FloatDistribution):
            trial.suggest_float(key, axis.low, axis.high, log=axis.log)

    def corners(self) -> list[tuple[str, ...]]:
        """Few cells that have every choice and both ends of each interval, to be checked beforehand."""
        from optuna.distributions import CategoricalDistribution

        ends = {
            key: list(one.choices) if isinstance(one, CategoricalDistribution) else [one.low, one.high]  # type: ignore[attr-defined]
            for key, one in self.axes.items()
        }
        first = {key: values[0] for key, values in ends.items()}
        cells = [self.overrides(first)]
        for key, values in ends.items():
            cells += [self.overrides({**first, key: value}) for value in values[1:]]
        return list(dict.fromkeys(cells))
