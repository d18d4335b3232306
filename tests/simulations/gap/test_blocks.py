"""Intervals by moving blocks: by a second implementation, and wider where neighbouring errors are alike."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from shared.metrics.outputs import Outputs
from shared.metrics.regression import RegressionMetrics
from simulations.gap.jackknife import compare_gap, measure

UNITS, EACH, SPAN = 60, 3, 6


def outputs_of(errors: np.ndarray) -> Outputs:
    targets = np.linspace(0, 9, len(errors))[:, None]
    return Outputs(targets + errors[:, None], targets)


@pytest.fixture
def errors() -> np.ndarray:
    """Of three series at sixty times, alike from one time to the next."""
    rng = np.random.default_rng(0)
    found = np.zeros(UNITS)
    for time in range(1, UNITS):
        found[time] = 0.8 * found[time - 1] + rng.normal()
    return np.concatenate([found + 5 + 0.1 * rng.normal(size=UNITS) for _ in range(EACH)])


def test_the_variance_is_that_of_kuensch(errors: np.ndarray) -> None:
    times = np.tile(np.arange(UNITS), EACH)
    measured = measure(
        RegressionMetrics(), [[outputs_of(errors)]], resamples=999, seed=0, groups=times, span=SPAN
    )["mae"]
    means = np.abs(errors).reshape(EACH, UNITS).mean(axis=0)
    left_out = [
        np.delete(means, slice(start, start + SPAN)).mean() for start in range(UNITS - SPAN + 1)
    ]  # fmt: skip
    np.testing.assert_allclose(measured.left_out, left_out)
    assert (measured.groups, measured.independent) == (10, 10.0)
    row = compare_gap(
        RegressionMetrics(),
        [outputs_of(errors)],
        [outputs_of(np.zeros(len(errors)))],
        groups=times,
        span=SPAN,
        noun="6-h block",
    )[0]
    variance = (10 - 1) * np.var(left_out)
    half = row.gap.high - row.gap.value
    freedom = [stats.t.ppf(0.975, freedom) for freedom in (1, 9)]
    assert freedom[1] * variance**0.5 <= half * (1 + 1e-9) <= freedom[0] * variance**0.5
    assert (row.groups, row.noun) == (10, "6-h block")


def test_blocks_of_like_errors_are_wider_than_rows(errors: np.ndarray) -> None:
    def width(**how: object) -> float:
        row = compare_gap(RegressionMetrics(), [outputs_of(errors)], [outputs_of(0 * errors)], **how)[0]  # type: ignore[arg-type]
        return row.gap.high - row.gap.low

    times = np.tile(np.arange(UNITS), EACH)
    assert width(groups=times, span=SPAN) > 1.5 * width(groups=times) > 1.5 * width()


def test_one_block_gives_no_interval(errors: np.ndarray) -> None:
    times = np.tile(np.arange(UNITS), EACH)
    how = {"groups": times, "span": 40, "noun": "block"}
    row = compare_gap(RegressionMetrics(), [outputs_of(errors)], [outputs_of(0 * errors)], **how)[0]  # type: ignore[arg-type]
    assert np.isnan(row.gap.low)
    assert row.verdict == "undefined"
