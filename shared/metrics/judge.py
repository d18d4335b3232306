"""`Judge`: the metrics of a task, from outputs or from sums over clients; all that the gap and rounds need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shared.metrics.outputs import Outputs
    from shared.metrics.spec import MetricSpec
    from shared.metrics.statistics import Layout, Statistics

    Floats = NDArray[np.float64]


class Judge(Protocol):
    """The metrics of a task."""

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """What outputs are judged by, in order; the first is the headline."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in order."""
        ...

    def score(self, outputs: Outputs, weights: Floats | None = None) -> dict[str, Floats]:
        """All metrics, in order; NaN where one is not defined.

        Parameters
        ----------
        weights : ndarray [R, N], float64, optional
            How often each row is counted, R times; by default once, R = 1.

        Returns
        -------
        dict of str to ndarray [R], float64
        """
        ...

    def values(self, outputs: Outputs) -> dict[str, float]:
        """The metrics that are defined, each row counted once."""
        ...

    @property
    def layout(self) -> dict[str, Layout]:
        """The arrays of `statistics`."""
        ...

    def statistics(self, outputs: Outputs) -> Statistics:
        """What a client tells of its rows; those of several clients add up, and `pooled` reads the sum."""
        ...

    def pooled(self, statistics: Statistics) -> dict[str, float]:
        """The metrics of all rows that were added up, as `values` has them, without the rows."""
        ...

    def check(self, statistics: Statistics, *, rows: int) -> None:
        """Make sure that statistics are of so many rows, and that they do not contradict themselves.

        Raises
        ------
        ValueError
            Says which array is wrong.
        """
        ...

    def best_threshold(self, statistics: Statistics) -> float:
        """The threshold that decides best on the rows; asked only where a threshold may be chosen."""
        ...
