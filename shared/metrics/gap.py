"""`GapRow`: one metric of the twins with its federated gap and its verdict, as a comparison stores it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.metrics.catalogue import CLASSIFICATION
from shared.metrics.spec import Better

Verdict = Literal["worse", "better", "equal", "unclear", "undefined"]
ROUNDING = 1e-9  # what is left of a difference by the arithmetic of floats


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def is_nothing(self) -> bool:
        """Whether it is 0 for sure."""
        return abs(self.low) < ROUNDING and abs(self.high) < ROUNDING


@dataclass(frozen=True)
class GapRow:
    """One metric of the twins.

    Attributes
    ----------
    metric : str
        Its name in the catalogue.
    gap : Interval
        Pooled minus federated, resampled in pairs: its interval is not the difference of the two others.
    local : Interval or None
        Mean over clients that trained alone.
    better : {"higher", "lower"} or None
        The better direction of the metric.
    confidence : float
        Of all intervals, such as 0.95.
    undefined : int
        Resamples left out because the metric is not defined in them (no example of a class).
    per_run : bool
        The intervals are Student's over the seeds, see `MetricSpec.per_run`; else of a bootstrap.
    """

    metric: str
    pooled: Interval
    federated: Interval
    gap: Interval
    local: Interval | None
    better: Better | None
    confidence: float
    undefined: int
    per_run: bool = False

    @property
    def verdict(self) -> Verdict:
        """Whether federation is clearly worse or better than pooling: ``unclear`` if the gap may be 0."""
        return verdict(self.gap, self.better)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> GapRow:
        """What `dataclasses.asdict` wrote into the summary of a comparison's run; null is NaN."""

        def number(value: float | None) -> float:
            return math.nan if value is None else float(value)

        def interval(values: Mapping[str, float | None]) -> Interval:
            return Interval(number(values["value"]), number(values["low"]), number(values["high"]))

        return cls(
            metric=given["metric"],
            pooled=interval(given["pooled"]),
            federated=interval(given["federated"]),
            gap=interval(given["gap"]),
            local=interval(given["local"]) if given["local"] else None,
            better=given["better"],
            confidence=float(given["confidence"]),
            undefined=int(given.get("undefined", 0)),
            per_run=bool(given.get("per_run", False)),
        )


def stored_gap(summary: Mapping[str, Any]) -> list[GapRow]:
    """The rows of a comparison's gap, from the summary of its run; empty where none was measured."""
    rows = [GapRow.from_json(row) for row in summary.get("gap") or []]
    places = {spec.name: place for place, spec in enumerate(CLASSIFICATION)}
    if places.keys() == {row.metric for row in rows}:  # early versions stored them in another order
        rows.sort(key=lambda row: places[row.metric])
    return rows


def verdict(gap: Interval, better: Better | None) -> Verdict:
    """What a gap with its interval says of federation.

    Parameters
    ----------
    gap : Interval
        Pooled minus federated.
    better : {"higher", "lower"} or None
        Without a better direction, a gap that is not 0 is ``unclear``.
    """
    if math.isnan(gap.low):
        return "undefined"
    if gap.is_nothing:
        return "equal"
    if better is None or gap.low <= 0.0 <= gap.high:
        return "unclear"
    return "worse" if (gap.value > 0) == (better == "higher") else "better"
