"""Coverage of the intervals: how often those of a comparison miss the truth, by the number of groups and seeds.

python -m benchmarks.coverage                    # all tables, some minutes on two cores
python -m benchmarks.coverage --draws 100 --groups 2,6

A draw is a test set of so many groups (patients) of unequal size, whose rows and labels are alike within a
group, and two models of equal quality whose errors are correlated, within groups and with each other: the true
gap is 0.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.machine import describe, line
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.gap import GapRow, Interval
from shared.metrics.outputs import Outputs
from simulations.gap.jackknife import compare_gap

METRICS = ("auroc", "accuracy", "loss", "f1", "recall", "calibration_error")
GROUPS = (2, 3, 4, 6, 8, 10, 15, 20, 30, 40, 60, 100, 200)
SEEDS = (2, 3, 4, 5)
PREVALENCES = (0.5, 0.15)
CONFIDENCE = 0.95
JUDGE = ClassificationMetrics(2)
_SLACK = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """What is drawn.

    Attributes
    ----------
    prevalence : float
        Of class 1, roughly.
    seeds : int
        Trained models of each mode; with several, they differ in quality.
    """

    groups: int
    prevalence: float
    seeds: int = 1


@dataclass(frozen=True)
class Draw:
    """A test set and the outputs of the models of both modes, one a seed, on it."""

    groups: NDArray[np.int64]
    pooled: list[Outputs]
    federated: list[Outputs]


def draw(setting: Setting, *, number: int) -> Draw:
    """One test set with its models.

    Parameters
    ----------
    number : int
        The same number gives the same draw.
    """
    rng = np.random.default_rng([number, setting.groups, round(1000 * setting.prevalence), setting.seeds])
    sizes = np.minimum(rng.geometric(0.25, setting.groups), 30)
    sizes = np.where(rng.random(setting.groups) < 0.1, 4 * sizes, sizes)  # a few patients have many images
    groups = np.repeat(np.arange(setting.groups), sizes)
    rows, level = len(groups), np.log(setting.prevalence / (1 - setting.prevalence))
    share = _sigmoid(1.8 * level + 2.5 * rng.standard_normal(setting.groups))
    labels = (rng.random(rows) < share[groups]).astype(np.int64)
    hard = 0.7 * rng.standard_normal(setting.groups)[groups] + 0.7 * rng.standard_normal(rows)

    def model() -> Outputs:
        own = 0.5 * rng.standard_normal(setting.groups)[groups] + 0.7 * rng.standard_normal(rows)
        skill, shift = (0.4, 0.3) * rng.standard_normal(2) if setting.seeds > 1 else (0.0, 0.0)
        p = _sigmoid((1.2 + skill) * (2 * labels - 1) + hard + own + 0.5 * level + shift)
        return Outputs(np.stack([1 - p, p], axis=1), labels)

    models = [[model() for _ in range(setting.seeds)] for _ in range(2)]
    return Draw(groups, *models)


def truth(setting: Setting) -> dict[str, float]:
    """The metrics of a model on endless rows; the calibration error is that of many test sets of that size."""
    several = setting.seeds > 1
    drawn = [
        draw(Setting(400 if several else 60_000, setting.prevalence, setting.seeds), number=-1 - n & 0xFFFF)
        for n in range(300 if several else 1)
    ]
    values = [JUDGE.values(one) for each in drawn for one in each.pooled]
    found = {name: float(np.mean([value[name] for value in values])) for name in METRICS}
    small = [draw(setting, number=10_000 + n).pooled[0] for n in range(400)]
    found["calibration_error"] = float(np.mean([JUDGE.values(one)["calibration_error"] for one in small]))
    return found


def rows_now(drawn: Draw) -> list[GapRow]:
    """The rows of a comparison, as `fedtwin compare` measures them."""
    return compare_gap(
        JUDGE, drawn.pooled, drawn.federated, confidence=CONFIDENCE, groups=drawn.groups, noun="patient"
    )


def rows_before(drawn: Draw, *, resamples: int = 200, seed: int = 0) -> dict[str, tuple[Interval, Interval]]:
    """Gap and pooled metric with the percentile bootstrap over groups and seeds that was used before."""
    count, seeds = int(drawn.groups.max()) + 1, len(drawn.pooled)
    rng = np.random.default_rng([seed, 0])
    counts = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    weights = np.concatenate([np.ones((1, count)), counts])[:, drawn.groups]
    draws = max(1, seeds - 1)
    of_seeds = np.random.default_rng([seed, 1]).multinomial(draws, [1 / seeds] * seeds, size=resamples) / draws
    of_seeds = np.concatenate([np.full((1, seeds), 1 / seeds), of_seeds])

    def sampled(models: Sequence[Outputs]) -> dict[str, Floats]:
        scored = [JUDGE.score(one, weights) for one in models]
        return {m: sum(of_seeds[:, s] * scored[s][m] for s in range(seeds)) for m in METRICS}

    pooled, federated = sampled(drawn.pooled), sampled(drawn.federated)
    return {m: (_percentile(pooled[m] - federated[m], m), _percentile(pooled[m], m)) for m in METRICS}


def misses(setting: Setting, number: int, *, true: Mapping[str, float]) -> Floats:
    """Which intervals of one draw miss the truth.

    Returns
    -------
    ndarray [gap and level, before and now, metrics], float64
        1 where it misses, 0 where it holds, NaN where there is none.
    """
    drawn = draw(setting, number=number)
    now = {row.metric: row for row in rows_now(drawn)}
    before = rows_before(drawn, seed=number)
    return np.array(
        [
            [
                [_missed(before[m][kind], aim) for m, aim in aims.items()],
                [_missed((now[m].gap, now[m].pooled)[kind], aim) for m, aim in aims.items()],
            ]
            for kind, aims in enumerate((dict.fromkeys(METRICS, 0.0), {m: true[m] for m in METRICS}))
        ]
    )


def rates(setting: Setting, *, draws: int, workers: int) -> tuple[Floats, Floats]:
    """How often the intervals miss, and how often there is none now.

    Returns
    -------
    tuple of ndarray
        Missed, of those that there are, [gap and level, before and now, metrics]; and [metrics].
    """
    one = partial(misses, setting, true=truth(setting))
    with ProcessPoolExecutor(workers) as pool:
        found = np.array(list(pool.map(one, range(draws), chunksize=10)))
    known = ~np.isnan(found)
    missed = np.nansum(found, axis=0) / np.maximum(1, known.sum(axis=0))
    return missed, 1 - known[:, 0, 1].mean(axis=0)


def table(head: str, lines: Iterable[tuple[str, Floats, Floats]]) -> str:
    """A Markdown table: a line a setting, a column a metric, cells before and now."""
    names = [next(spec.label for spec in JUDGE.metrics if spec.name == m) for m in METRICS]
    text = [f"| {head} | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}"]
    for label, missed, without in lines:
        cells = [
            f"{before:.2f} → {now:.2f}{f' ({100 * none:.0f} % none)' if none >= 0.005 else ''}"
            for before, now, none in zip(*missed, without, strict=True)
        ]
        text.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(text)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draws", type=int, default=500, help="test sets of each setting")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--groups", type=_numbers, default=GROUPS)
    parser.add_argument("--seeds", type=_numbers, default=SEEDS)
    options = parser.parse_args()
    began = time.monotonic()
    run = partial(rates, draws=options.draws, workers=options.workers)
    for prevalence in PREVALENCES:
        found = {n: run(Setting(n, prevalence)) for n in options.groups}
        for kind, what in enumerate(("Gap: false verdicts", "One model: missed")):
            print(f"\n{what}, prevalence {prevalence}\n")
            print(
                table("groups", ((str(n), missed[kind], none) for n, (missed, none) in found.items())),
                flush=True,
            )
    found = {s: run(Setting(40, 0.5, seeds=s)) for s in options.seeds}
    for kind, what in enumerate(("Gap: false verdicts", "Mean of the pooled models: missed")):
        print(f"\n{what}, 40 groups, prevalence 0.5\n")
        print(table("seeds", ((str(s), missed[kind], none) for s, (missed, none) in found.items())), flush=True)
    print(f"\n{options.draws} draws each, {time.monotonic() - began:.0f} s, {line(describe())}")


def _percentile(sampled: Floats, metric: str) -> Interval:
    value, drawn = float(sampled[0]), sampled[1:][~np.isnan(sampled[1:])]
    if np.isnan(value) or not len(drawn):
        return Interval(value, np.nan, np.nan)
    if metric == "calibration_error":
        drawn = drawn - drawn.mean() + value
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))


def _missed(interval: Interval, aim: float) -> float:
    if np.isnan(interval.low):
        return np.nan
    return float(not interval.low - _SLACK <= aim <= interval.high + _SLACK)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    main()
