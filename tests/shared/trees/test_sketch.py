"""Quantiles by counts: exact for few values, near the true ones for many, the same however rows are divided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.trees.bins import Bins, Feature
from shared.trees.sketch import Sketch, count_cells, keys_of, values_of
from tests.fuzzing import draws

HIGHEST = np.finfo(np.float64).max


def bins_of(*parts: NDArray[np.float64], max_bins: int = 255) -> Bins:
    features = [Feature(str(place)) for place in range(parts[0].shape[1])]
    sketch = Sketch(features, max_bins=max_bins)
    while sketch.asks:
        counts = [count_cells(part, sketch.feature, sketch.prefix, sketch.resolved) for part in parts]
        sketch.take(np.sum(counts, axis=0))
    return sketch.bins()


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FINITE, min_size=2, max_size=30))
@settings(max_examples=draws(100))
def test_keys_have_the_order_of_the_values(values: list[float]) -> None:
    array = np.array(values)
    keys = keys_of(array)
    assert (np.argsort(keys, kind="stable") == np.argsort(array, kind="stable")).all()
    assert (values_of(keys) == array).all()


@given(
    st.lists(FINITE | st.just(np.nan) | st.sampled_from([0.0, -0.0, 1.0]), min_size=1, max_size=80),
    st.integers(2, 12),
    st.integers(0, 80),
)
@settings(max_examples=draws(60))
def test_any_values_have_the_same_bins_pooled_and_divided(values: list[float], max_bins: int, cut: int) -> None:
    column = np.array(values)[:, None]
    (pooled,) = bins_of(column, max_bins=max_bins).edges
    (divided,) = bins_of(column[cut:], column[:cut], max_bins=max_bins).edges
    assert np.array_equal(pooled, divided)
    assert len(pooled) < max_bins
    assert (np.diff(pooled) > 0).all()
    known = np.unique(column[~np.isnan(column)])
    if len(known) <= max_bins:
        places = np.searchsorted(pooled, known)
        assert (places == np.arange(len(known))).all()  # each value has its bin


def test_few_values_are_divided_halfway() -> None:
    (edges,) = bins_of(np.array([[3.0], [1.0], [1.0], [2.0], [np.nan]])).edges
    assert np.allclose(edges, [1.5, 2.5], rtol=1e-15)


@pytest.mark.parametrize("shape", ["normal", "lognormal", "uniform", "far away", "zeros"])
def test_many_values_have_bins_of_about_equal_size(shape: str) -> None:
    draw = np.random.default_rng(0)
    normal = draw.standard_normal(20_000)
    column = {
        "normal": normal,
        "lognormal": np.exp(5 * normal),
        "uniform": draw.random(20_000),
        "far away": 1.6e9 + normal,
        "zeros": np.where(draw.random(20_000) < 0.5, 0.0, normal),
    }[shape]
    bins = bins_of(column[:5_000, None], column[5_000:, None], max_bins=50)
    counts = np.bincount(bins.codes(column[:, None])[0])
    regular = np.delete(counts, counts.argmax()) if shape == "zeros" else counts
    assert len(bins.edges[0]) == (49 if shape != "zeros" else len(regular))
    assert regular.max() <= 1.5 * 20_000 / 50 + 1
    assert shape == "zeros" or regular.min() >= 0.5 * 20_000 / 50 - 1


def test_extremes_and_inputs_without_values() -> None:
    bins = bins_of(
        np.array([[-HIGHEST, np.nan, 5.0], [HIGHEST, np.nan, 5.0], [5e-324, np.nan, 5.0]]), max_bins=2
    )
    assert [len(edges) for edges in bins.edges] == [1, 0, 0]
    assert np.isfinite(bins.edges[0]).all()
    codes = bins.codes(np.array([[-HIGHEST, np.nan, 5.0], [HIGHEST, 1.0, np.nan]]))
    assert codes.tolist() == [[0, 1], [1, 0], [0, 1]]
