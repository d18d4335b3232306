"""`RegressionMetrics`: everything that predicted numbers are judged by; the one definition."""

from __future__ import annotations

import numpy as np

from shared.metrics.averages import Floats, defined, under_weights
from shared.metrics.catalogue import REGRESSION
from shared.metrics.outputs import Outputs
from shared.metrics.spec import MetricSpec
from shared.metrics.statistics import Layout, Statistics


class RegressionMetrics:
    """The metrics of one predicted number a row."""

    metrics: tuple[MetricSpec, ...] = REGRESSION
    monitor = "val/mae"
    client_metric = "mae"

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in order."""
        return tuple(spec.name for spec in self.metrics)

    def score(self, outputs: Outputs, weights: Floats | None = None) -> dict[str, Floats]:
        """All metrics, under many weightings of the rows at once.

        Parameters
        ----------
        weights : ndarray [R, N], float64, optional
            How often each row is counted, R times; by default once, R = 1.

        Returns
        -------
        dict of str to ndarray [R], float64
            In the order of `metrics`; all NaN if a prediction is not finite.
        """

        def measure(w: Floats) -> dict[str, Floats]:
            true, errors = _true_and_errors(outputs)
            shifted = true - true.mean()  # the spread is that of the values: no digits are lost on their level
            return _values(
                rows=w.sum(axis=1),
                absolute=w @ np.abs(errors),
                squared=w @ errors**2,
                total=w @ shifted,
                total_squared=w @ shifted**2,
            )

        return under_weights(outputs, weights, names=self.names, measure=measure)

    def values(self, outputs: Outputs) -> dict[str, float]:
        """All metrics that are defined, each row counted once."""
        return defined({name: float(value[0]) for name, value in self.score(outputs).items()})

    @property
    def layout(self) -> dict[str, Layout]:
        """The arrays of `statistics`."""
        return {"rows": Layout((1,), counts=True), "sums": Layout((4,), counts=False)}

    def statistics(self, outputs: Outputs) -> Statistics:
        """What a client tells of its rows; those of several clients add up, and `pooled` reads the sum.

        Returns
        -------
        Statistics
            ``rows``, and the sums of absolute errors, squared errors, true values and their squares.
        """
        true, errors = _true_and_errors(outputs)
        sums = np.array([np.abs(errors).sum(), (errors**2).sum(), true.sum(), (true**2).sum()])
        return Statistics({"rows": np.array([len(outputs)], dtype=np.int64), "sums": sums})

    def pooled(self, statistics: Statistics) -> dict[str, float]:
        """The metrics of all rows that were added up, as `values` has them, without the rows; exact."""
        absolute, squared, total, total_squared = statistics["sums"][:, None]
        rows = statistics["rows"].astype(np.float64)
        found = _values(rows=rows, absolute=absolute, squared=squared, total=total, total_squared=total_squared)
        return defined({name: float(value[0]) for name, value in found.items()})

    def best_threshold(self, statistics: Statistics) -> float:
        """Not for this task."""
        raise NotImplementedError

    def check(self, statistics: Statistics, *, rows: int) -> None:
        """Make sure that statistics are of so many rows, and that they do not contradict themselves.

        Raises
        ------
        ValueError
            Says which array is wrong.
        """
        statistics.check_rows(rows)
        absolute, squared, total, total_squared = statistics["sums"].tolist()
        slack = 1 + 1e-9
        # Of numbers, the sum of squares is never less than the squared sum divided by their number.
        if not absolute >= 0 or not absolute**2 <= rows * squared * slack:
            raise ValueError("sums of absolute and squared errors contradict each other")
        if not total**2 <= rows * total_squared * slack:
            raise ValueError("sums of true values and of their squares contradict each other")


def _true_and_errors(outputs: Outputs) -> tuple[Floats, Floats]:
    true = outputs.targets.astype(np.float64).reshape(-1)
    return true, outputs.predictions.astype(np.float64).reshape(-1) - true


def _values(
    *, rows: Floats, absolute: Floats, squared: Floats, total: Floats, total_squared: Floats
) -> dict[str, Floats]:
    spread = total_squared - total**2 / rows
    constant = spread <= 1e-12 * np.abs(total_squared)  # R2 is not defined where all true values are alike
    explained = 1 - np.divide(squared, spread, out=np.full(len(rows), np.nan), where=~constant)
    return {"mae": absolute / rows, "rmse": np.sqrt(squared / rows), "r2": explained, "loss": squared / rows}
