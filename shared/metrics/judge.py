"""`Judge`: the metrics of a task, from outputs or from sums over clients; what the gap and the rounds work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shared.metrics.outputs import Outputs
    from shared.metrics.spec import MetricSpec

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
