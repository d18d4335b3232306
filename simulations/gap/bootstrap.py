"""The federated gap: metrics of two models on one test set, and their difference, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.metrics.averages import Floats
from shared.metrics.gap import GapRow, Interval
from shared.metrics.judge import Judge
from shared.metrics.outputs import Outputs
from shared.metrics.spec import Better, MetricSpec

_CHUNK = 2_000_000  # weights held at once: 16 MB, and a few times that while ranking


@dataclass(frozen=True)
class ClientSummary:
    """How one metric spreads over the clients; clients without a value (NaN) are left out."""

    worst_name: str
    worst: float
    best_name: str
    best: float
    median: float
    spread: float


def compare_gap(
    judge: Judge,
    pooled: Sequence[Outputs],
    federated: Sequence[Outputs],
    *,
    local: Sequence[Sequence[Outputs]] = (),
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    groups: NDArray[np.int64] | None = None,
) -> list[GapRow]:
    """Each metric of the pooled and the federated twin, their difference, and how sure all three are.

    The bootstrap draws test examples with replacement and gives every model the same draw, so what the
    twins share (hard examples) cancels in the gap. With S > 1 seeds it also draws S - 1 of the seeds, in
    pairs: S - 1 draws make the variance of their mean unbiased, S draws would make it too small. Few seeds
    stay few: below about five, their share of the interval is a rough guess.

    A metric that is one number a run (``MetricSpec.per_run``) has Student's interval of its mean over the
    seeds, the gap that of the paired differences; with one seed it has none.

    Intervals are percentiles of the resampled values: they need no formula for any of the metrics, keep to
    the metric's range, and need no symmetry. The calibration error is the exception. Small bins make it too
    large, and a resample, which repeats examples, more so; its resampled values are therefore moved to have
    their mean at the measured value. Its interval says how the error as measured on a test set of this
    size varies; the error of an infinite test set is lower, most of all for a well calibrated model.

    Parameters
    ----------
    judge : Judge
        The metrics of the task.
    pooled, federated : sequence of Outputs
        One a seed, in the same order, all on the same test set.
    local : sequence of sequence of Outputs
        For each seed, the clients that trained alone; their mean is compared. Clients are not resampled.
    confidence : float
        In (0, 1).
    seed : int
        Of the bootstrap.
    groups : ndarray [N], int64, optional
        Examples that belong together, such as those of one patient; whole groups are drawn.

    Returns
    -------
    list of GapRow
        In the order of the catalogue.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13; McCarthy and Snowden (1985),
    The Bootstrap and Finite Population Sampling (S - 1 draws); Owen (2007), The Pigeonhole Bootstrap.
    """
    _check_same_test_set(pooled, federated, local)
    num_seeds, num_examples = len(pooled), len(pooled[0])
    draws = max(1, num_seeds - 1)
    seed_weights = np.random.default_rng([seed, 1]).multinomial(
        draws, [1 / num_seeds] * num_seeds, size=resamples
    )
    units = np.arange(num_examples) if groups is None else np.unique(groups, return_inverse=True)[1]
    assert len(units) == num_examples, (len(units), num_examples)

    resampled = any(not spec.per_run for spec in judge.metrics)

    def measure(models: Callable[[int], Sequence[Outputs]]) -> dict[str, tuple[Floats, Floats]]:
        once = [_mean_over_models(judge, models(s), None) for s in range(num_seeds)]
        values: dict[str, Floats] = {m: np.zeros(resamples) for m in judge.names}
        for rows, weights in _example_weights(units, resamples=resamples, seed=seed) if resampled else ():
            for s in range(num_seeds):
                for metric, sampled in _mean_over_models(judge, models(s), weights).items():
                    values[metric][rows] += sampled * seed_weights[rows, s] / draws
        return {m: (np.array([o[m][0] for o in once]), values[m]) for m in judge.names}

    def interval(spec: MetricSpec, measured: tuple[Floats, Floats], *, floor: float = -np.inf) -> Interval:
        once, sampled = measured
        if spec.per_run:
            return _over_seeds(once, confidence)
        return _interval(float(np.mean(once)), sampled, confidence, recentre=spec.inflated, floor=floor)

    of_pooled = measure(lambda s: [pooled[s]])
    of_federated = measure(lambda s: [federated[s]])
    of_local = measure(lambda s: local[s]) if local else None
    result = []
    for spec in judge.metrics:
        metric, low = spec.name, spec.bounds[0]
        p, f = of_pooled[metric], of_federated[metric]
        difference = (p[0] - f[0], p[1] - f[1])
        result.append(
            GapRow(
                metric=metric,
                pooled=interval(spec, p, floor=low),
                federated=interval(spec, f, floor=low),
                gap=interval(spec, difference),
                local=interval(spec, of_local[metric], floor=low) if of_local else None,
                better=spec.better,
                confidence=confidence,
                undefined=0 if spec.per_run else int(np.isnan(difference[1]).sum()),
                label=spec.label,
                per_run=spec.per_run,
            )
        )
    return result


def per_client_summary(values: Mapping[str, float], *, better: Better | None = "higher") -> ClientSummary:
    """The worst, median and best client, and how far they lie apart.

    Parameters
    ----------
    values : mapping of str to float
        A metric by the client's name.
    better : {"higher", "lower"} or None
        Without a better direction the lowest value counts as the worst.

    Returns
    -------
    ClientSummary
        Its spread is the largest minus the smallest value; of equal clients, the first is named.
    """
    defined = {name: value for name, value in values.items() if not np.isnan(value)}
    if not defined:
        return ClientSummary("", np.nan, "", np.nan, np.nan, np.nan)
    low, high = min(defined, key=defined.__getitem__), max(defined, key=defined.__getitem__)
    worst, best = (high, low) if better == "lower" else (low, high)
    return ClientSummary(
        worst_name=worst,
        worst=defined[worst],
        best_name=best,
        best=defined[best],
        median=float(np.median(list(defined.values()))),
        spread=defined[high] - defined[low],
    )


def _check_same_test_set(
    pooled: Sequence[Outputs], federated: Sequence[Outputs], local: Sequence[Sequence[Outputs]]
) -> None:
    assert len(pooled) == len(federated) > 0, (len(pooled), len(federated))
    assert not local or (len(local) == len(pooled) and all(local)), (len(local), len(pooled))
    for pred in [*pooled, *federated, *(client for clients in local for client in clients)]:
        assert pred.predictions.shape == pooled[0].predictions.shape, "not the same test set"
        assert np.array_equal(pred.targets, pooled[0].targets), (
            "not the same test set, or not in the same order"
        )


def _example_weights(units: NDArray[np.intp], *, resamples: int, seed: int) -> Iterator[tuple[slice, Floats]]:
    num_units = int(units.max()) + 1
    rng = np.random.default_rng([seed, 0])
    step = max(1, _CHUNK // len(units))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(num_units, size=(rows, num_units)) + np.arange(rows)[:, None] * num_units
        counts = np.bincount(drawn.ravel(), minlength=rows * num_units).reshape(rows, num_units)
        yield slice(start, start + rows), counts[:, units].astype(np.float64)


def _mean_over_models(judge: Judge, models: Sequence[Outputs], weights: Floats | None) -> dict[str, Floats]:
    values = [judge.score(outputs, weights) for outputs in models]
    return {metric: np.mean([v[metric] for v in values], axis=0) for metric in judge.names}


def _over_seeds(values: Floats, confidence: float) -> Interval:
    """The mean over seeds with Student's interval."""
    from scipy.special import stdtrit  # not at the top: it takes a while to import

    mean, count = float(np.mean(values)), len(values)
    if count < 2 or np.isnan(mean):
        return Interval(mean, np.nan, np.nan)
    quantile = float(stdtrit(count - 1, (1 + confidence) / 2))
    half = quantile * float(np.std(values, ddof=1)) / count**0.5
    return Interval(mean, mean - half, mean + half)


def _interval(
    value: float, sampled: Floats, confidence: float, *, recentre: bool, floor: float = -np.inf
) -> Interval:
    defined = sampled[~np.isnan(sampled)]
    if np.isnan(value) or not len(defined):
        return Interval(value, np.nan, np.nan)
    if recentre:
        defined = np.maximum(defined - defined.mean() + value, floor)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high))
