"""`Space`: the settings that a search chooses among, as Optuna's distributions and as overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.sweeps.axis import Interval
from shared.sweeps.plan import Plan
from shared.sweeps.search_axes import overrides_at, search_axes

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution


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
        self._axes = search_axes(plan)
        self.axes = {key: _distribution(one) for key, one in self._axes.items()}

    def overrides(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """What the trial of a proposal is composed with."""
        return overrides_at(self._axes, params)

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


def _distribution(axis: Interval | list[str]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(axis, Interval):
        return CategoricalDistribution(axis)
    if isinstance(axis.low, int) and isinstance(axis.high, int):
        return IntDistribution(axis.low, axis.high, log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)
