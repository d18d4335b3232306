"""`RowMeans`: metrics that are means over the rows; a subclass says what the value of a row is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from shared.metrics.averages import Floats, defined, under_weights
from shared.metrics.outputs import Outputs
from shared.metrics.spec import MetricSpec
from shared.metrics.statistics import Layout, Statistics


class RowMeans(ABC):
    """The means of some values of each row: exact under any weights, and from the sums of clients.

    Attributes
    ----------
    metrics : tuple of MetricSpec
        One a value, in order; the first is the headline. A mean beyond its bounds is rejected.
    """

    metrics: tuple[MetricSpec, ...]

    @abstractmethod
    def of_rows(self, outputs: Outputs) -> Mapping[str, Floats]:
        """The values of each row, by the metric's name: ndarray [N], float64."""

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in order."""
        return tuple(spec.name for spec in self.metrics)

    def score(self, outputs: Outputs, weights: Floats | None = None) -> dict[str, Floats]:
        """All metrics, under many weightings of the rows at once; see `shared.metrics.judge.Judge.score`."""

        def means(w: Floats) -> dict[str, Floats]:
            return {name: (w @ values) / w.sum(axis=1) for name, values in self.of_rows(outputs).items()}

        return under_weights(outputs, weights, names=self.names, measure=means)

    def values(self, outputs: Outputs) -> dict[str, float]:
        """All metrics that are defined, each row counted once."""
        return defined({name: float(value[0]) for name, value in self.score(outputs).items()})

    @property
    def layout(self) -> dict[str, Layout]:
        """The arrays of `statistics`."""
        return {"rows": Layout((1,), counts=True), "sums": Layout((len(self.metrics),), counts=False)}

    def statistics(self, outputs: Outputs) -> Statistics:
        """What a client tells of its rows: how many there are, and the sums of their values."""
        values = self.of_rows(outputs)
        sums = np.array([np.sum(values[name]) for name in self.names], dtype=np.float64)
        return Statistics({"rows": np.array([len(outputs)], dtype=np.int64), "sums": sums})

    def pooled(self, statistics: Statistics) -> dict[str, float]:
        """The metrics of all rows that were added up, as `values` has them; exact."""
        means = statistics["sums"] / float(statistics["rows"][0])
        return defined(dict(zip(self.names, means.tolist(), strict=True)))

    def check(self, statistics: Statistics, *, rows: int) -> None:
        """Make sure that statistics are of so many rows, and that the means are within their bounds.

        Raises
        ------
        ValueError
            Says which array is wrong.
        """
        statistics.check_rows(rows)
        for spec, total in zip(self.metrics, statistics["sums"].tolist(), strict=True):
            low, high = (bound * rows for bound in spec.bounds)
            slack = 1e-9 * max(1.0, abs(total))
            if not low - slack <= total <= high + slack:
                raise ValueError(f"the sum of {spec.name} is {total:.6g}, which {rows} rows cannot have")
