"""Federated gaps, measured and made up, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.metrics.classification import ClassificationMetrics
from shared.metrics.gap import GapRow, Interval
from shared.metrics.outputs import Outputs
from shared.metrics.spec import Better
from simulations.gap import jackknife


def compare_gap(pooled: Sequence[Outputs], federated: Sequence[Outputs], **more: Any) -> list[GapRow]:
    """The gap of every metric of a classifier."""
    return jackknife.compare_gap(ClassificationMetrics(pooled[0].num_classes), pooled, federated, **more)


def row(
    metric: str,
    pooled: float,
    federated: float,
    ends: tuple[float, float],
    *,
    better: Better = "higher",
    local: bool = False,
    undefined: int = 0,
) -> GapRow:
    """A row of the table of gaps; ``ends`` are those of the gap's interval."""

    def around(value: float) -> Interval:
        return Interval(value, value - 0.01, value + 0.01)

    return GapRow(
        metric=metric,
        pooled=around(pooled),
        federated=around(federated),
        gap=Interval(pooled - federated, *ends),
        local=around(0.7) if local else None,
        better=better,
        confidence=0.95,
        undefined=undefined,
    )
