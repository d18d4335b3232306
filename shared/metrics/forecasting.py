"""`ForecastMetrics`: everything that forecasts are judged by, and what two plain forecasts reach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from shared.metrics.averages import Floats, defined, under_weights
from shared.metrics.catalogue import FORECASTING
from shared.metrics.outputs import Outputs
from shared.metrics.spec import MetricSpec
from shared.metrics.statistics import Layout, Statistics

Loss = Literal["squared", "absolute"]

# What is added up over rows, in order; of each row the mean over its steps, but for what is counted.
_SUMS = (
    *("absolute", "squared", "total", "total_squared", "smape", "mape", "mape_steps", "mase", "mase_rows"),
    *("loss", "seasonal", "persistence"),
)
_NEVER_NEGATIVE = tuple(name for name in _SUMS if name != "total")


@dataclass(frozen=True)
class ForecastRows:
    """The parts of the targets of windows (`shared.data.series.load.ForecastTargets`), by name.

    Attributes
    ----------
    true, seasonal : ndarray [N, horizon], float64
        What came, and the same steps of the last season that was seen.
    last : ndarray [N, 1], float64
        The last value that was seen.
    change : ndarray [N], float64
        Mean absolute change over a season, of the training steps of its series; NaN where there is none.
    unit : ndarray [N, 1], float64
        In which the loss is told.
    """

    true: Floats
    seasonal: Floats
    last: Floats
    change: Floats
    unit: Floats

    @classmethod
    def of(cls, outputs: Outputs, *, horizon: int) -> ForecastRows:
        """Those of some outputs."""
        values = outputs.targets.astype(np.float64)
        assert values.shape[1] == 2 * horizon + 3, values.shape
        true, seasonal, last, change, unit = np.split(
            values, [horizon, 2 * horizon, 2 * horizon + 1, 2 * horizon + 2], axis=1
        )
        return cls(true, seasonal, last, change[:, 0], unit)


class ForecastMetrics:
    """The metrics of several steps ahead.

    Parameters
    ----------
    horizon : int
        Steps ahead.
    loss : {"squared", "absolute"}
        What is minimised.
    """

    def __init__(self, *, horizon: int, loss: Loss) -> None:
        self.horizon, self.loss = horizon, loss
        word = "absolute" if loss == "absolute" else "squared"
        self.metrics: tuple[MetricSpec, ...] = tuple(
            replace(
                spec,
                description=f"Mean {word} error; with data.scaling=local, in deviations of each series.",
            )
            if spec.name == "loss"
            else spec
            for spec in FORECASTING
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in order."""
        return tuple(spec.name for spec in self.metrics)

    def score(self, outputs: Outputs, weights: Floats | None = None) -> dict[str, Floats]:
        """All metrics, under many weightings of the rows at once; see `shared.metrics.judge.Judge.score`."""

        def measure(w: Floats) -> dict[str, Floats]:
            # The spread is that of the values: no digits are lost on their level.
            sums = w @ self._of_rows(outputs, shifted=True)
            return _values(w.sum(axis=1), sums, horizon=self.horizon)

        return under_weights(outputs, weights, names=self.names, measure=measure)

    def values(self, outputs: Outputs) -> dict[str, float]:
        """All metrics that are defined, each row counted once."""
        return defined({name: float(value[0]) for name, value in self.score(outputs).items()})

    @property
    def layout(self) -> dict[str, Layout]:
        """The arrays of `statistics`."""
        return {"rows": Layout((1,), counts=True), "sums": Layout((len(_SUMS),), counts=False)}

    def statistics(self, outputs: Outputs) -> Statistics:
        """What a client tells of its rows: how many there are, and the sums that the metrics follow from."""
        sums = self._of_rows(outputs, shifted=False).sum(axis=0)
        return Statistics({"rows": np.array([len(outputs)], dtype=np.int64), "sums": sums})

    def pooled(self, statistics: Statistics) -> dict[str, float]:
        """The metrics of all rows that were added up, as `values` has them; exact."""
        rows = statistics["rows"].astype(np.float64)
        found = _values(rows, statistics["sums"][None], horizon=self.horizon)
        return defined({name: float(value[0]) for name, value in found.items()})

    def check(self, statistics: Statistics, *, rows: int) -> None:
        """Make sure that statistics are of so many rows, and that they do not contradict themselves.

        Raises
        ------
        ValueError
            Says which sums are wrong.
        """
        statistics.check_rows(rows)
        sums = dict(zip(_SUMS, statistics["sums"].tolist(), strict=True))
        if negative := [name for name in _NEVER_NEGATIVE if not sums[name] >= 0]:
            raise ValueError(f"the sum of {negative[0]} is {sums[negative[0]]:.6g}, which cannot be negative")
        slack = 1 + 1e-9
        # Of numbers, the sum of squares is never less than the squared sum divided by their number.
        if not sums["absolute"] ** 2 <= rows * sums["squared"] * slack:
            raise ValueError("sums of absolute and squared errors contradict each other")
        if not sums["total"] ** 2 <= rows * sums["total_squared"] * slack:
            raise ValueError("sums of true values and of their squares contradict each other")
        for name, most in (("mape_steps", rows * self.horizon), ("mase_rows", rows), ("smape", 2 * rows)):
            if not sums[name] <= most * slack:
                raise ValueError(f"the sum of {name} is {sums[name]:.6g}, which {rows} rows cannot have")

    def _of_rows(self, outputs: Outputs, *, shifted: bool) -> Floats:
        """What is added up, of each row, [N, sums]."""
        rows = ForecastRows.of(outputs, horizon=self.horizon)
        true, predicted = rows.true, outputs.predictions.astype(np.float64)
        error = np.abs(predicted - true)
        absolute = error.mean(axis=1)
        level = true - true.mean() if shifted else true
        size = np.abs(true) + np.abs(predicted)
        nonzero, scaled = true != 0, ~np.isnan(rows.change)
        in_units = error / rows.unit
        loss = in_units if self.loss == "absolute" else in_units**2
        columns = (
            absolute,
            (error**2).mean(axis=1),
            level.mean(axis=1),
            (level**2).mean(axis=1),
            np.divide(2 * error, size, out=np.zeros_like(error), where=size > 0).mean(axis=1),
            np.divide(error, np.abs(true), out=np.zeros_like(error), where=nonzero).sum(axis=1),
            nonzero.sum(axis=1).astype(np.float64),
            np.divide(absolute, rows.change, out=np.zeros_like(absolute), where=scaled),
            scaled.astype(np.float64),
            loss.mean(axis=1),
            np.abs(rows.seasonal - true).mean(axis=1),
            np.abs(rows.last - true).mean(axis=1),
        )
        return np.stack(columns, axis=1)


def by_step(outputs: Outputs, *, horizon: int) -> dict[str, Floats]:
    """The mean absolute error of each step ahead, [horizon]: of the model, and of each floor."""
    rows = ForecastRows.of(outputs, horizon=horizon)
    forecasts = {"model": outputs.predictions, "seasonal": rows.seasonal, "persistence": rows.last}
    return {name: np.abs(own - rows.true).mean(axis=0) for name, own in forecasts.items()}


def _values(rows: Floats, sums: Floats, *, horizon: int) -> dict[str, Floats]:
    of = dict(zip(_SUMS, sums.T, strict=True))
    spread = of["total_squared"] - of["total"] ** 2 / rows
    constant = spread <= 1e-12 * np.abs(of["total_squared"])  # R2 is not defined where all are alike
    nowhere = np.full(len(rows), np.nan)
    explained = 1 - np.divide(of["squared"], spread, out=nowhere.copy(), where=~constant)
    return {
        "mae": of["absolute"] / rows,
        "rmse": np.sqrt(of["squared"] / rows),
        "mase": np.divide(of["mase"], of["mase_rows"], out=nowhere.copy(), where=of["mase_rows"] > 0),
        "smape": of["smape"] / rows,
        "mape": np.divide(of["mape"], of["mape_steps"], out=nowhere.copy(), where=of["mape_steps"] > 0),
        "r2": explained,
        "loss": of["loss"] / rows,
        "seasonal_mae": of["seasonal"] / rows,
        "persistence_mae": of["persistence"] / rows,
    }
