"""What is measured: `MetricPoint`, and where points go: `MetricSink`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

Stage = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One measured value; a row of ``run_metrics``.

    Attributes
    ----------
    stage : {"train", "val", "test"}
    name : str
        Without the stage, such as ``accuracy``.
    value : float
        May be NaN where a metric is not defined.
    epoch : int or None
        Centralized: from 1; client: local epoch of the round, from 1; aggregates: None.
    round : int or None
        Server round, 0 is before training; None in a centralized run.
    client_id : int or None
        The partition; None for an aggregate and in a centralized run.
    num_examples : int or None
        Rows that the value was measured on.
    time : datetime
        Aware, UTC.
    """

    stage: Stage
    name: str
    value: float
    epoch: int | None = None
    round: int | None = None
    client_id: int | None = None
    num_examples: int | None = None
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


class MetricSink(Protocol):
    """Takes points: the store, a client's buffer, a list in a test."""

    def add(self, points: Sequence[MetricPoint]) -> None:
        """Take points; returning means that they are kept."""
        ...
