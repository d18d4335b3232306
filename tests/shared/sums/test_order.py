"""Order statistics from counts alone are those of the values."""

from __future__ import annotations

import numpy as np
import pytest

from shared.runtime.errors import FittingError
from shared.sums.order import counts_at_most, order_statistics, quantiles, rank_of


@pytest.mark.parametrize("size", [1, 2, 7, 400])
@pytest.mark.parametrize("quantile", [0.01, 0.5, 0.99, 1.0])
def test_the_value_is_found_among_all_numbers(size: int, quantile: float) -> None:
    rng = np.random.default_rng(size)
    values = np.abs(rng.normal(size=(size, 3))) * np.array([1.0, 1e-200, 1e200])
    values[: size // 3, 1] = 0.0
    values[size // 2 :, 0] = 0.25  # ties
    parts, asked = np.array_split(values, 3), []

    def count(edges: np.ndarray) -> np.ndarray:
        asked.append(edges)
        return sum(counts_at_most(part, edges) for part in parts)

    found = order_statistics(count, rank=rank_of(quantile, size), rows=size, columns=3)
    np.testing.assert_array_equal(found, quantiles(values, quantile))
    np.testing.assert_array_equal(found, np.quantile(values, quantile, axis=0, method="inverted_cdf"))
    assert len(asked) <= 7


def test_ranks_are_not_moved_by_rounding() -> None:
    assert [rank_of(0.99, 100), rank_of(0.7, 10), rank_of(0.1, 3), rank_of(1.0, 5)] == [99, 7, 1, 5]


def test_counts_that_contradict_each_other_are_rejected() -> None:
    with pytest.raises(FittingError, match="do not rise from 0 to 4"):
        order_statistics(lambda edges: np.full(edges.shape, 5), rank=2, rows=4, columns=1)
    with pytest.raises(FittingError, match="do not rise from 0 to 4"):
        order_statistics(lambda edges: np.arange(edges.size)[None, ::-1] % 5, rank=2, rows=4, columns=1)
