"""Histograms by products are those by counting; fixed-point sums have no order; rows are drawn by key."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.trees.bins import Layout
from shared.trees.fixed_point import fits, fixed, scale_for
from shared.trees.histograms import HistogramBuilder
from shared.trees.rows import NodeRows, drawn
from tests.fuzzing import draws


@pytest.mark.parametrize("inputs", [None, [0, 1, 2, 3], [2], [1, 3]])
@pytest.mark.parametrize("rows", [0, 1, 30_000, 90_000])
def test_histograms_are_weighted_counts(rows: int, inputs: list[int] | None) -> None:
    draw = np.random.default_rng(0)
    sizes = np.array([256, 3, 20, 1])
    codes = np.column_stack([draw.integers(0, size, 100_000) for size in sizes]).astype(np.uint8)
    sums = fixed(draw.standard_normal((100_000, 3)), 2.0**30)
    layout = Layout(sizes, np.zeros(4, dtype=np.bool_))
    taken = np.sort(draw.choice(100_000, rows, replace=False))
    chosen = None if inputs is None else np.array(inputs)
    found = HistogramBuilder(codes, layout, chosen).build(taken, sums)
    expected = [
        np.bincount(codes[taken, place], weights=sums[taken, column], minlength=sizes[place])
        for place in (range(4) if inputs is None else inputs)
        for column in range(3)
    ]
    assert np.array_equal(
        found.T.ravel(), np.concatenate([np.concatenate(expected[own::3]) for own in range(3)])
    )


FINITE = st.floats(-1e150, 1e150, allow_nan=False)


@given(st.lists(FINITE, min_size=1, max_size=100))
@settings(max_examples=draws(60))
def test_fixed_point_sums_are_the_same_in_any_order(values: list[float]) -> None:
    array = np.array(values)
    magnitude = float(np.abs(array).sum())
    scale = scale_for(magnitude)
    assert fits(magnitude, scale)
    assert not fits(magnitude * 2**4, scale) or magnitude == 0
    numbers = fixed(array, scale)
    shuffled = np.random.default_rng(len(values)).permutation(numbers)
    assert numbers.sum() == shuffled.sum() == sum(int(number) for number in numbers)
    assert numbers.sum() / scale == pytest.approx(array.sum(), abs=1e-13 * magnitude + 1e-300)


def test_nodes_keep_their_rows() -> None:
    rows = NodeRows(np.array([2, 3, 5, 7, 11]))
    rows.divide(0, np.array([True, False, True, False, False]), left=1, right=2)
    rows.divide(2, np.array([False, True, False]), left=3, right=4)
    assert [rows.of(node).tolist() for node in (1, 3, 4)] == [[2, 5], [7], [3, 11]]


def test_rows_are_drawn_by_key_alone() -> None:
    keys = np.arange(20_000, dtype=np.uint64)
    taken = drawn(keys, share=0.3, seed=1, round_number=2)
    assert taken.mean() == pytest.approx(0.3, abs=0.015)
    order = np.random.default_rng(0).permutation(len(keys))
    assert np.array_equal(drawn(keys[order], share=0.3, seed=1, round_number=2), taken[order])
    for seed, round_number in ((1, 3), (2, 2), (2, 1)):
        both = taken & drawn(keys, share=0.3, seed=seed, round_number=round_number)
        assert both.mean() == pytest.approx(0.09, abs=0.01)
    assert drawn(keys, share=1.0, seed=1, round_number=2).all()
