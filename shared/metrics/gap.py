"""`GapRow`: one metric of the twins with its federated gap and its verdict, as a comparison stores it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.metrics.catalogue import CLASSIFICATION, label, spec_of
from shared.metrics.spec import Better

Verdict = Literal["worse", "better", "equal", "unclear", "undefined"]
SIGN, WORSE = "positive_is", "worse"  # in a row of JSON whose gap is the cost, see `as_cost`
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
        Pooled minus federated, as it is stored; its interval is of the pairs, not the difference of the two
        others. Readers are shown `cost`.
    local : Interval or None
        Mean over clients that trained alone.
    better : {"higher", "lower"} or None
        The better direction of the metric.
    confidence : float
        Of all intervals, such as 0.95.
    undefined : int
        Groups without which the metric is not defined (they alone have a class): it rests on them, and has no
        interval.
    label : str
        Of a metric that the catalogue may not have, for readers.
    per_run : bool
        The intervals are of the seeds alone, see `MetricSpec.per_run`; else also of the test rows.
    groups : int
        Independent groups of test rows behind the intervals; 0 where an earlier version did not store it.
    noun : str
        What a group is, such as ``patient``; ``row`` where each row is one.
    seeds : int
        Runs of each mode behind the intervals; 0 as for ``groups``.
    """

    metric: str
    pooled: Interval
    federated: Interval
    gap: Interval
    local: Interval | None
    better: Better | None
    confidence: float
    undefined: int
    label: str = ""
    per_run: bool = False
    groups: int = 0
    noun: str = "row"
    seeds: int = 0

    @property
    def title(self) -> str:
        """The metric's name for readers."""
        known = label(self.metric)  # with the positive class, see `shared.metrics.catalogue.naming`
        return known if self.label in ("", spec_of(self.metric).label) else self.label

    @property
    def cost(self) -> Interval:
        """The gap as every reader is shown it: what federation costs, see `cost`."""
        return cost(self.gap, self.better)

    @property
    def verdict(self) -> Verdict:
        """Whether federation is clearly worse or better than pooling: ``unclear`` if the gap may be 0."""
        return verdict(self.cost, self.better)

    @property
    def is_sure(self) -> bool:
        """Whether the gap has an interval."""
        return not math.isnan(self.gap.low)

    @property
    def has_value(self) -> bool:
        """Whether there is a gap, be it without an interval."""
        return not math.isnan(self.gap.value)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> GapRow:
        """What `dataclasses.asdict` wrote into the summary of a comparison's run, or `as_cost` made of it.

        Null is NaN.
        """

        def number(value: float | None) -> float:
            return math.nan if value is None else float(value)

        def interval(values: Mapping[str, float | None]) -> Interval:
            return Interval(number(values["value"]), number(values["low"]), number(values["high"]))

        gap = interval(given["gap"])
        return cls(
            metric=given["metric"],
            pooled=interval(given["pooled"]),
            federated=interval(given["federated"]),
            gap=cost(gap, given["better"]) if given.get(SIGN) == WORSE else gap,
            local=interval(given["local"]) if given["local"] else None,
            better=given["better"],
            confidence=float(given["confidence"]),
            undefined=int(given.get("undefined", 0)),
            label=given.get("label", ""),
            per_run=bool(given.get("per_run", False)),
            groups=int(given.get("groups", 0)),
            noun=given.get("noun", "row"),
            seeds=int(given.get("seeds", 0)),
        )


def stored_gap(summary: Mapping[str, Any]) -> list[GapRow]:
    """The rows of a comparison's gap, from the summary of its run; empty where none was measured."""
    rows = [GapRow.from_json(row) for row in summary.get("gap") or []]
    places = {spec.name: place for place, spec in enumerate(CLASSIFICATION)}
    early = not any(row.seeds for row in rows)  # stored the metrics of a classifier in another order
    if early and all(row.metric in places for row in rows):
        rows.sort(key=lambda row: places[row.metric])
    return rows


def as_cost(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of a run as readers of JSON are shown it: its gap is the cost, of which positive is worse.

    Databases hold pooled minus federated. Each row says which it has, so that `GapRow.from_json` reads both.
    """
    if not summary.get("gap"):
        return dict(summary)
    rows = []
    for row in summary["gap"]:
        if row["better"] == "lower" and row.get(SIGN) != WORSE:
            ends = {end: None if row["gap"][end] is None else -row["gap"][end] for end in row["gap"]}
            row = {**row, "gap": {"value": ends["value"], "low": ends["high"], "high": ends["low"]}}
        rows.append({**row, SIGN: WORSE})
    return {**summary, "gap": rows}


def cost(gap: Interval, better: Better | None) -> Interval:
    """What federation costs: positive is worse, negative is better, whichever direction a metric has.

    Parameters
    ----------
    gap : Interval
        Pooled minus federated.
    better : {"higher", "lower"} or None
        Without a better direction nothing is worse, and the difference stays as it is.
    """
    return Interval(-gap.value, -gap.high, -gap.low) if better == "lower" else gap


def verdict(cost: Interval, better: Better | None) -> Verdict:
    """What a cost with its interval says of federation.

    Parameters
    ----------
    cost : Interval
        Positive is worse, see `cost`.
    better : {"higher", "lower"} or None
        Without a better direction, a gap that is not 0 is ``unclear``.
    """
    if math.isnan(cost.low):
        return "undefined"
    if cost.is_nothing:
        return "equal"
    if better is None or cost.low <= 0.0 <= cost.high:
        return "unclear"
    return "worse" if cost.value > 0 else "better"
