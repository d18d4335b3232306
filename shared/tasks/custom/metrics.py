"""The metrics that a user declares for a model of their own: direction, label, bounds, and a function."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field

from shared.config.section import Section
from shared.metrics.averages import Floats
from shared.metrics.outputs import Outputs
from shared.metrics.spec import MetricSpec
from shared.runtime.components import load_function
from shared.runtime.errors import ConfigError

Function = Callable[[npt.NDArray[Any], npt.NDArray[Any]], Any]


class MetricConfig(Section):
    """One declared metric; without a function, the value is what the module logs."""

    model_config = ConfigDict(populate_by_name=True)

    better: Literal["higher", "lower"]
    label: str | None = None
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    target: str | None = Field(default=None, alias="_target_")

    def spec(self, name: str) -> MetricSpec:
        """What is known of the metric besides its values."""
        return MetricSpec(
            name,
            self.label or name.replace("_", " "),
            self.better,
            (self.low, self.high),
            self.unit,
            per_run=self.target is None,
        )


class Functions:
    """The declared functions of outputs and targets, imported when they are first needed.

    Parameters
    ----------
    targets : mapping of str to str
        Dotted names, by metric.
    may_run : collection of str
        See `shared.runtime.components.load_component`.
    """

    def __init__(self, targets: Mapping[str, str], *, may_run: Collection[str] = ()) -> None:
        self.targets, self.may_run = targets, may_run

    def values(self, name: str, outputs: Outputs) -> Floats:
        """What the function of a metric gives.

        Returns
        -------
        ndarray, float64
            [N]: a value a row, whose mean is the metric; NaN where it is not defined. Or []: one for all rows.

        Raises
        ------
        ConfigError
            It gives something else.
        """
        found = np.asarray(self._load(name)(outputs.predictions, outputs.targets), dtype=np.float64)
        if found.shape not in ((), (len(outputs),)):
            raise ConfigError(
                f"task.metrics.{name}: {self.targets[name]} gave an array of shape {found.shape} for "
                f"{len(outputs)} rows; expected one number, or one a row"
            )
        return found

    def mean(self, name: str, outputs: Outputs) -> float:
        """A metric of all rows; NaN where it is not defined."""
        return float(self.weighted(name, outputs, np.ones((1, len(outputs))))[0])

    def weighted(self, name: str, outputs: Outputs, weights: Floats) -> Floats:
        """A metric under many weightings of the rows.

        Parameters
        ----------
        weights : ndarray [R, N], float64
            How often each row is counted: whole numbers.

        Returns
        -------
        ndarray [R], float64
        """
        values = self.values(name, outputs)
        if values.ndim == 1:
            defined = ~np.isnan(values)
            counted = weights[:, defined].sum(axis=1)
            total = weights[:, defined] @ values[defined]
            means = np.full(len(weights), np.nan)
            np.divide(total, counted, out=means, where=counted > 0)
            return means
        if (weights == 1).all():
            return np.full(len(weights), float(values))
        rows = np.arange(len(outputs))
        drawn = (np.repeat(rows, times.astype(np.int64)) for times in weights)
        return np.array([float(self.values(name, _of(outputs, some))) for some in drawn])

    def _load(self, name: str) -> Function:
        return load_function(self.targets[name], may_run=self.may_run)


def _of(outputs: Outputs, rows: npt.NDArray[np.int64]) -> Outputs:
    return Outputs(outputs.predictions[rows], outputs.targets[rows])
