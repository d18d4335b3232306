"""Goals: required ratios between our figures and other systems', and whether they are met."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.speed.sample import Sample


@dataclass(frozen=True)
class Goal:
    """An upper limit on a ratio.

    Attributes
    ----------
    against, system : str
        Whose figure is the divisor, and whose is divided.
    figure : str
        Of a `Sample`.
    limits : dict of str to float
        By workload.
    """

    against: str
    system: str
    figure: str
    title: str
    limits: dict[str, float]


GOALS = (
    Goal("bare", "local", "round_cpu", "CPU seconds per round", {"W": 0.75, "W3": 1.00}),
    Goal("bare", "local", "cpu", "total CPU", {"W": 1.25, "W3": 1.25}),
    Goal("bare", "centralized", "round_cpu", "CPU seconds per epoch", {"W": 0.75}),
    Goal("bare2", "local", "round_wall", "wall per round", {"W": 0.80, "W3": 1.00}),
    Goal("bare2", "local", "wall", "total wall", {"W": 1.20, "W3": 1.20}),
    Goal("pfl", "local", "wall", "total wall", {"W": 0.70, "W3": 0.90}),
    Goal("quickstart", "flwr", "round_cpu", "CPU seconds per round", {"W": 0.70, "W3": 0.70}),
    Goal("quickstart", "flwr", "wall", "total wall", {"W": 0.80, "W3": 0.80}),
    Goal("quickstart", "local", "memory", "peak memory", {"W": 0.50, "W3": 0.50}),
)


@dataclass(frozen=True)
class Spread:
    """A median with the range that it comes from."""

    median: float
    least: float
    most: float
    count: int

    @staticmethod
    def of(values: Iterable[float | None]) -> Spread | None:
        """Of measured values.

        Returns
        -------
        Spread or None
            None if nothing was measured.
        """
        known = [value for value in values if value is not None]
        return Spread(median(known), min(known), max(known), len(known)) if known else None


@dataclass(frozen=True)
class Verdict:
    """A goal on one workload, and what was measured.

    Attributes
    ----------
    ratio : Spread or None
        None if one of the two was not measured.
    """

    goal: Goal
    workload: str
    limit: float
    ratio: Spread | None

    @property
    def word(self) -> str:
        """``pass``, ``fail`` or ``not measured``."""
        if self.ratio is None:
            return "not measured"
        return "pass" if self.ratio.median <= self.limit else "fail"


def spread(samples: Sequence[Sample], *, workload: str, system: str, figure: str) -> Spread | None:
    """A figure over the counted runs."""
    return Spread.of(_by_run(samples, workload, system, figure).values())


def ratio(samples: Sequence[Sample], *, workload: str, system: str, against: str, figure: str) -> Spread | None:
    """A figure over another system's, run by run: the runs of one number were made one after the other.

    Returns
    -------
    Spread or None
        The median of the ratios, which is not the ratio of the medians.
    """
    above = _by_run(samples, workload, system, figure)
    below = _by_run(samples, workload, against, figure)
    return Spread.of(above[run] / below[run] for run in sorted(above.keys() & below.keys()) if below[run] > 0)


def judge(samples: Sequence[Sample], *, workloads: Iterable[str]) -> list[Verdict]:
    """All goals on the workloads that were measured."""
    return [
        Verdict(
            goal,
            workload,
            goal.limits[workload],
            ratio(samples, workload=workload, system=goal.system, against=goal.against, figure=goal.figure),
        )
        for goal in GOALS
        for workload in workloads
        if workload in goal.limits
    ]


def _by_run(samples: Sequence[Sample], workload: str, system: str, figure: str) -> dict[int, float]:
    found = {}
    for sample in samples:
        value = getattr(sample, figure)
        if sample.counted and (sample.workload, sample.system) == (workload, system) and value is not None:
            found[sample.run] = value
    return found
