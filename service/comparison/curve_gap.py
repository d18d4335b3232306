"""The gap between pooled and federated curves at equal examples seen, with a confidence band.

It has the sign of a cost, see `shared.metrics.gap.cost`: positive is worse.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from service.comparison.intervals import CONFIDENCE, t_interval
from service.comparison.pairing import CurvePoint, RunCurve, pair_by_seed
from service.comparison.thinned import thinned
from shared.metrics.catalogue import label, spec_of
from shared.metrics.gap import Interval, cost
from shared.metrics.spec import Better
from shared.tracking.rows import FINISHED

FEWEST = 3  # seeds for a useful t interval: with two it is several times wider


@dataclass(frozen=True, slots=True)
class _Difference:
    pair: int
    value: float
    federated: CurvePoint


def curve_gap(
    pooled: Sequence[RunCurve],
    federated: Sequence[RunCurve],
    *,
    group: str,
    metric: str,
    stage: str,
    better: Better | None,
) -> dict[str, Any]:
    """By how much federated is worse, paired by seed, at the numbers of examples that the federated runs saw.

    The pooled curve is interpolated linearly and never extrapolated. The mean is taken round by round over the
    pairs that have reached the round.

    Parameters
    ----------
    pooled, federated : sequence of RunCurve
        The federated runs differ in the seed only.
    group : str
        Name of the federated group (`service.comparison.similarity.group_runs`).
    better : {"higher", "lower"} or None
        Of the metric; without a better direction it is pooled minus federated.

    Returns
    -------
    dict
        See `service.api.chart_schemas.Gap`.
    """
    found = pair_by_seed(pooled, federated)
    by_round: dict[int, list[_Difference]] = {}
    apart = 0
    for number, (one, other) in enumerate(found.pairs if stage != "train" else ()):
        differences, left_out = _differences(one, other, number=number, better=better)
        apart += left_out
        for step, difference in differences.items():
            by_round.setdefault(step, []).append(difference)
    notes = [*found.notes, *([_other_rows(apart, stage=stage)] if apart else [])]
    steps = sorted(by_round)
    rounds = [by_round[step] for step in steps]
    running = any(curve.run.status not in FINISHED for one in found.pairs for curve in one)
    why = found.why or _nothing(metric, stage=stage, running=running)
    band: Literal["seeds"] | None = None
    if rounds:
        band, why = _band(rounds)
    least, most = spec_of(metric).bounds
    reach = most - least  # of a difference
    ends = [_ends(of_round, band=band, reach=reach) for of_round in rounds]
    return {
        "group": group,
        "of": [one.run.id for one, _ in found.pairs],
        "against": [other.run.id for _, other in found.pairs],
        **thinned(
            {
                **_columns(rounds, steps=steps),
                "low": [low for low, _ in ends],
                "high": [high for _, high in ends],
                "pairs": [len(of_round) for of_round in rounds],
            }
        ),
        "band": band,
        "confidence": CONFIDENCE,
        "why": why,
        "yet": bool(found.pairs) and running and stage == "val" and not rounds,
        "notes": notes,
        "each": _each(found.pairs, by_round),
        "test": _test(found.pairs, better=better),
    }


def interpolate(points: Sequence[CurvePoint], *, examples: int) -> float | None:
    """A curve's value at a number of examples seen, by linear interpolation.

    Returns
    -------
    float or None
        None before the first and after the last point.
    """
    place = bisect_left(points, examples, key=lambda point: point.step.examples)
    if place == len(points):
        return None
    right = points[place]
    if right.step.examples == examples:
        return right.value
    if place == 0:
        return None
    left = points[place - 1]
    share = (examples - left.step.examples) / (right.step.examples - left.step.examples)
    return left.value + share * (right.value - left.value)


def _differences(
    pooled: RunCurve, federated: RunCurve, *, number: int, better: Better | None
) -> tuple[dict[int, _Difference], int]:
    """By round; and in how many rounds other rows were evaluated than those of the pooled run."""
    num_pooled = next((point.num_examples for point in pooled.points if point.num_examples), None)
    found, left_out = {}, 0
    for point in federated.points:
        value = interpolate(pooled.points, examples=point.step.examples)
        if value is None:
            continue
        if num_pooled and point.num_examples and point.num_examples != num_pooled:
            left_out += 1
            continue
        found[point.number] = _Difference(number, _cost(value - point.value, better), federated=point)
    return found, left_out


def _cost(difference: float, better: Better | None) -> float:
    return cost(Interval(difference, difference, difference), better).value


def _other_rows(count: int, *, stage: str) -> str:
    rounds = "1 round is" if count == 1 else f"{count} rounds are"
    return (
        f"{rounds} left out of the gap: not all clients were evaluated, so the {stage} rows are not those of "
        "the pooled run (strategy.fraction_evaluate=1 evaluates all)."
    )


def _columns(rounds: Sequence[Sequence[_Difference]], *, steps: Sequence[int]) -> dict[str, Any]:
    return {
        "step": list(steps),
        "examples": [round(fmean(one.federated.step.examples for one in found)) for found in rounds],
        "seconds": [_mean([one.federated.step.seconds for one in found]) for found in rounds],
        "bytes": [_mean([one.federated.step.bytes for one in found]) for found in rounds],
        "value": [fmean(one.value for one in found) for found in rounds],
    }


def _each(
    pairs: Sequence[tuple[RunCurve, RunCurve]], by_round: dict[int, list[_Difference]]
) -> list[dict[str, Any]]:
    # Too few seeds for a band: show each seed.
    if not 1 < len(pairs) < FEWEST:
        return []
    lines = []
    for number, (one, other) in enumerate(pairs):
        own = {step: [d for d in found if d.pair == number] for step, found in sorted(by_round.items())}
        own = {step: found for step, found in own.items() if found}
        columns = thinned(_columns(list(own.values()), steps=list(own)))
        lines.append({"seed": one.run.seed, "of": one.run.id, "against": other.run.id, **columns})
    return lines


def _test(pairs: Sequence[tuple[RunCurve, RunCurve]], *, better: Better | None) -> float | None:
    values = [one.test - other.test for one, other in pairs if one.test is not None and other.test is not None]
    return _cost(fmean(values), better) if values and len(values) == len(pairs) else None


def _nothing(metric: str, *, stage: str, running: bool) -> str:
    if stage == "test":
        return "a pooled model is tested only once, at the end, so there is no test curve"
    if stage == "train":
        return "training metrics of a federation are of its clients' own models, not of the global one"
    yet = " yet" if running else ""
    return f"no {label(metric)} at equal examples seen{yet}"


def _band(rounds: Sequence[Sequence[_Difference]]) -> tuple[Literal["seeds"] | None, str]:
    most = max(map(len, rounds))
    if most >= FEWEST:
        return "seeds", f"{100 * CONFIDENCE:g} % CI, t interval of the mean over {most} seeds"
    if most > 1:
        return None, f"{most} seeds are too few; thin lines show each seed"
    return None, "one seed only; the gap of the final test has one"


def _ends(
    found: Sequence[_Difference], *, band: Literal["seeds"] | None, reach: float
) -> tuple[float | None, float | None]:
    if band == "seeds" and len(found) >= FEWEST:
        low, high = t_interval([one.value for one in found])
        return max(low, -reach), min(high, reach)
    return None, None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None
