"""`compare_gap`: metrics of two models on one test set, their difference, and how sure all are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shared.metrics.averages import Floats
from shared.metrics.gap import GapRow, Interval
from shared.metrics.judge import Judge
from shared.metrics.outputs import Outputs
from simulations.gap.student import Measured, gap_interval, level_interval

_CHUNK = 2_000_000  # weights held at once: 16 MB, and a few times that while ranking
_SAME = Interval(0.0, 0.0, 0.0)


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
    span: int = 1,
    noun: str = "row",
) -> list[GapRow]:
    """Each metric of the pooled and the federated twin, their difference, and how sure all three are.

    The intervals are Student's, from a jackknife: every metric is computed once more without each group of test
    rows (without each row, where rows are independent), of all models alike, so what the twins share (hard
    examples) cancels in the gap. With several seeds the variance between them is added, of the gap that of the
    paired differences. `simulations.gap.student` has the formulas; simulations for 2 to 200 groups and 2 to 5
    seeds are in ``docs/results.md``. Clients that trained alone are not resampled.

    There is no interval, and so no verdict, of test rows that are all of one group, of a metric that is not
    defined without one of the groups (which alone has a class), and of a metric that is one number a run
    (``MetricSpec.per_run``) with one seed. Twins whose outputs are equal have a gap of 0 for sure.

    Parameters
    ----------
    judge : Judge
        The metrics of the task.
    pooled, federated : sequence of Outputs
        One a seed, in the same order, all on the same test set.
    local : sequence of sequence of Outputs
        For each seed, the clients that trained alone; their mean is compared.
    confidence : float
        In (0, 1).
    resamples : int
        At most so many times are rows left out: more groups than that are put together at random.
    seed : int
        Of that.
    groups : ndarray [N], int64, optional
        Examples that belong together, such as those of one patient; or the unit of time of each, by number.
    span : int
        Of units of time, how many in a row are left out together: moving blocks.
    noun : str
        What a group is, or a block.

    Returns
    -------
    list of GapRow
        In the order of the catalogue.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 11 (jackknife); Lipsitz, Ibrahim and
    Parzen (1999), A Degrees-of-Freedom Approximation for a t-Statistic with Heterogeneous Variance;
    Cochran and Cox (1957), Experimental Designs, 4.14 (two variances); Hansen (2025), Jackknife Standard Errors
    for Clustered Regression; LeDell et al. (2015), Computationally Efficient Confidence Intervals for
    Cross-Validated AUC (logit scale); Hanley and Lippman-Hand (1983), If Nothing Goes Wrong, Is Everything All
    Right? (no variation).
    """
    _check_same_test_set(pooled, federated, local)
    num_seeds = len(pooled)
    measured = partial(measure, judge, resamples=resamples, seed=seed, groups=groups, span=span)
    of_pooled = measured([[outputs] for outputs in pooled])
    of_federated = measured([[outputs] for outputs in federated])
    of_local = measured(local) if local else None
    num_groups = next(iter(of_pooled.values())).groups
    same = all(map(_equal, pooled, federated))
    result = []
    for spec in judge.metrics:
        metric = spec.name
        p, f = of_pooled[metric], of_federated[metric]
        level = partial(level_interval, confidence=confidence, bounds=spec.bounds)
        gap = gap_interval(p - f, confidence=confidence, bounds=spec.bounds)
        certain = (same and gap.value == 0 and not (spec.per_run and num_seeds == 1)) or spec.floor
        result.append(
            GapRow(
                metric=metric,
                pooled=level(p),
                federated=level(f),
                gap=_SAME if certain else gap,
                local=level(of_local[metric]) if of_local else None,
                better=spec.better,
                confidence=confidence,
                undefined=int(np.isnan((p - f).left_out).sum()) if num_groups > 1 else 0,
                label=spec.label,
                per_run=spec.per_run,
                groups=num_groups,
                noun=noun,
                seeds=num_seeds,
            )
        )
    return result


def measure(
    judge: Judge,
    models: Sequence[Sequence[Outputs]],
    *,
    resamples: int,
    seed: int,
    groups: NDArray[np.int64] | None = None,
    span: int = 1,
) -> dict[str, Measured]:
    """Each metric of a model, and what each group of test rows and each seed contributes to it.

    Models that are measured with the same groups, ``resamples`` and ``seed`` are measured in pairs: the
    difference of two is the difference of what is returned.

    Parameters
    ----------
    models : sequence of sequence of Outputs
        For each seed, one model or several, whose mean is taken; all on the same test rows.
    resamples, seed, groups, span
        See `compare_gap`.
    """
    num_rows = len(models[0][0])
    units = np.arange(num_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    assert len(units) == num_rows, (len(units), num_rows)
    num_units = int(units.max()) + 1
    num_groups, independent = (num_units, None) if span == 1 else (num_units // span, num_units / span)
    once = [_mean_over_models(judge, several, None) for several in models]
    without: dict[str, list[Floats]] = {name: [] for name in judge.names}
    if not all(spec.per_run for spec in judge.metrics) and num_groups > 1:
        left_out_each = (
            _without_each(_blocks(units, most=resamples, seed=seed))
            if span == 1
            else _without_moving(units, span=span, most=resamples)
        )
        for weights in left_out_each:
            of_seeds = [_mean_over_models(judge, several, weights) for several in models]
            for name in judge.names:
                without[name].append(np.mean([values[name] for values in of_seeds], axis=0))
    found = {}
    for spec in judge.metrics:
        values = np.array([values[spec.name][0] for values in once])
        left_out = np.concatenate(without[spec.name] or [np.full(1, np.nan)])
        found[spec.name] = Measured(values, np.array([]) if spec.per_run else left_out, num_groups, independent)
    return found


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


def _equal(one: Outputs, other: Outputs) -> bool:
    return (
        np.array_equal(one.predictions, other.predictions)
        and one.threshold == other.threshold
        and dict(one.logged) == dict(other.logged)
    )


def _blocks(units: NDArray[np.intp], *, most: int, seed: int) -> NDArray[np.intp]:
    num_units = int(units.max()) + 1
    if num_units <= most:
        return units
    block_of_unit = np.random.default_rng([seed, 0]).permutation(num_units) % most
    return np.asarray(block_of_unit[units])


def _without_each(blocks: NDArray[np.intp]) -> Iterator[Floats]:
    num_blocks = int(blocks.max()) + 1
    step = max(1, _CHUNK // len(blocks))
    for start in range(0, num_blocks, step):
        left_out = np.arange(start, min(start + step, num_blocks))
        yield (blocks[None, :] != left_out[:, None]).astype(np.float64)


def _without_moving(units: NDArray[np.intp], *, span: int, most: int) -> Iterator[Floats]:
    first = np.arange(
        int(units.max()) + 2 - span
    )  # a block begins at each unit of time that leaves room for it
    first = first[:: -(-len(first) // most)]
    step = max(1, _CHUNK // len(units))
    for start in range(0, len(first), step):
        begin = first[start : start + step, None]
        yield ((units < begin) | (units >= begin + span)).astype(np.float64)


def _mean_over_models(judge: Judge, models: Sequence[Outputs], weights: Floats | None) -> dict[str, Floats]:
    values = [judge.score(outputs, weights) for outputs in models]
    return {metric: np.mean([v[metric] for v in values], axis=0) for metric in judge.names}
