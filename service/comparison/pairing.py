"""Pairing: the pooled run that each federated run is compared with, of the same seed and test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.comparison.similarity import settings_difference, test_rows_difference
from service.read.x_axes import XValues
from shared.tracking.rows import RunRow


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A finite metric value after one round or epoch, with its x values."""

    number: int
    step: XValues
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
        One per seed.
    why : str
        Why there is none; empty if there are some.
    notes : list of str
        Caveats to show with the gap.
    """

    pairs: list[tuple[RunCurve, RunCurve]]
    why: str
    notes: list[str]


def pair_by_seed(pooled: Sequence[RunCurve], federated: Sequence[RunCurve]) -> Pairing:
    """Find the pooled run for each seed of a group of federated runs that differ in the seed only.

    Twins of one comparison are preferred over other runs of the same seed, then runs with equal settings. Runs
    tested on different rows are never paired.
    """
    pairs: list[tuple[RunCurve, RunCurve]] = []
    apart: list[str] = []
    differ: list[str] = []
    repeated: list[str] = []
    for seed in sorted({one.run.seed for one in federated}):
        own = [other for other in federated if other.run.seed == seed]
        alike = [(one, other) for one in pooled for other in own if one.run.seed == seed]
        fit = [(one, other) for one, other in alike if not test_rows_difference(one.run, other.run)]
        if alike and not fit:
            apart.append(test_rows_difference(alike[0][0].run, alike[0][1].run))
        if not fit:
            continue
        best = min(fit, key=_distance)
        pairs.append(best)
        differ += [text for text in [settings_difference(best[0].run, best[1].run)] if text]
        if len(own) > 1:
            others = " and ".join(str(other.run.id) for other in own if other is not best[1])
            repeated.append(f"seed {seed} uses run {best[1].run.id}, not run {others}")
    notes = []
    if differ:
        notes.append(f"Not twins: the runs of a pair also differ in other settings ({differ[0]}).")
    if apart and pairs:
        notes.append(f"Excluded from the gap: runs tested on different data ({apart[0]}).")
    if repeated:
        notes.append(f"Repeated runs: {'; '.join(repeated)}.")
    why = "no pooled and federated run with the same seed"
    if apart:
        why = f"the runs are tested on different data ({apart[0]})"
    return Pairing(pairs=pairs, why="" if pairs else why, notes=notes)


def _distance(pair: tuple[RunCurve, RunCurve]) -> tuple[bool, bool]:
    pooled, federated = (one.run for one in pair)
    return pooled.parent_id != federated.parent_id, bool(settings_difference(pooled, federated))
