"""Federated gaps of classifiers, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.metrics.classification import ClassificationMetrics
from shared.metrics.gap import GapRow
from shared.metrics.outputs import Outputs
from simulations.gap import bootstrap


def compare_gap(pooled: Sequence[Outputs], federated: Sequence[Outputs], **more: Any) -> list[GapRow]:
    """The gap of every metric of a classifier."""
    return bootstrap.compare_gap(ClassificationMetrics(pooled[0].num_classes), pooled, federated, **more)
