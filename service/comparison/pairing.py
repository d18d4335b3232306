"""Which pooled run each federated run is measured against: one of the same seed, tested on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.comparison.similarity import other_rows, other_settings
from service.read.x_axes import Step
from shared.tracking.rows import RunRow


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A metric after one round or epoch; ``step`` holds what it took, ``value`` is finite."""

    number: int
    step: Step
    value: float
    num_examples: int | None


@dataclass(frozen=True, slots=True)
class RunCurve:
    """A metric of one run, in order; ``test`` is its value in the final test."""

    run: RunRow
    points: Sequence[CurvePoint]
    test: float | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """The pairs of pooled and federated runs.

    Attributes
    ----------
    pairs : list of (RunCurve, RunCurve)
        One a seed.
    why : str
        Why there is none.
    notes : list of str
        What a reader has to know of the pairs.
    """

    pairs: list[tuple[RunCurve, RunCurve]]
    why: str
    notes: list[str]


def pair(pooled: Sequence[RunCurve], federated: Sequence[RunCurve]) -> Pairing:
    """Give each seed of a group of alike federated runs its pooled run.

    Twins of one comparison come before others of the same seed, and of those the one with the most alike
    settings. Runs that are tested on different rows are never a pair.
    """
    pairs: list[tuple[RunCurve, RunCurve]] = []
    apart: list[str] = []
    differ: list[str] = []
    left_out: list[str] = []
    for seed in sorted({one.run.seed for one in federated}):
        own = [other for other in federated if other.run.seed == seed]
        alike = [(one, other) for one in pooled for other in own if one.run.seed == seed]
        fit = [(one, other) for one, other in alike if not other_rows(one.run, other.run)]
        if alike and not fit:
            apart.append(other_rows(alike[0][0].run, alike[0][1].run))
        if not fit:
            continue
        best = min(fit, key=_distance)
        pairs.append(best)
        differ += [text for text in [other_settings(best[0].run, best[1].run)] if text]
        if len(own) > 1:
            others = " and ".join(str(other.run.id) for other in own if other is not best[1])
            left_out.append(f"of seed {seed}, run {best[1].run.id} is in the gap, not run {others}")
    notes = []
    if differ:
        notes.append(f"Not twins: the runs of a pair also differ in other settings ({differ[0]}).")
    if apart and pairs:
        notes.append(f"Left out of the gap: runs that are tested on different data ({apart[0]}).")
    if left_out:
        notes.append(f"Repeated runs: {'; '.join(left_out)}.")
    why = "no pooled and federated run have the same seed"
    if apart:
        why = f"the runs are tested on different data ({apart[0]})"
    return Pairing(pairs=pairs, why="" if pairs else why, notes=notes)


def _distance(pair: tuple[RunCurve, RunCurve]) -> tuple[bool, bool]:
    pooled, federated = (one.run for one in pair)
    return pooled.parent_id != federated.parent_id, bool(other_settings(pooled, federated))
