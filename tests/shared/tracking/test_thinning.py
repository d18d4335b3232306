"""Which values of long curves stay."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.tracking.thinning import thin

NAN, INF = math.nan, math.inf


def downsample(values, *, points):
    lengths = np.array([len(values)] if values else [], dtype=np.int64)
    return thin(np.array(values, dtype=np.float64), lengths, points=points).tolist()


def test_the_smallest_and_the_largest_of_each_part_stay():
    #         |first| 1  2  3  4 | 5   6  7  8 |last
    values = [0.0, 5, 1, 9, 2, 3, -4, 8, 7, 0.0]
    assert downsample(values, points=6) == [0, 2, 3, 6, 7, 9]
    assert downsample(values, points=7) == [0, 2, 3, 6, 7, 9]  # a part more needs two points more
    assert downsample(values, points=4) == [0, 3, 6, 9]
    assert downsample(values, points=10) == list(range(10))


def test_equal_values_need_one_point_a_part():
    assert downsample([1.0] * 10, points=6) == [0, 1, 5, 9]


def test_what_is_not_finite_does_not_hide_the_rest():
    #         |first| 1    2  3    4 | 5    6    7    8  |last
    values = [NAN, INF, 1, NAN, 2, NAN, NAN, -INF, NAN, 3.0]
    assert downsample(values, points=6) == [0, 2, 4, 5, 9]


def test_few_values_stay_as_they_are():
    assert downsample([], points=4) == []
    assert downsample([NAN], points=4) == [0]
    assert downsample([1.0, 2.0, 3.0, 4.0], points=4) == [0, 1, 2, 3]


@given(st.lists(st.floats(allow_nan=True), max_size=400), st.integers(min_value=4, max_value=60))
def test_what_always_holds(values, points):
    kept = downsample(values, points=points)
    assert kept == sorted(set(kept))
    assert len(kept) <= points
    if values:
        assert (kept[0], kept[-1]) == (0, len(values) - 1)
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        stayed = [values[place] for place in kept if math.isfinite(values[place])]
        assert (min(stayed), max(stayed)) == (min(finite), max(finite))


def slowly(values, *, points):
    """The same for one curve, stretch by stretch."""
    inner = len(values) - 2
    if inner + 2 <= points:
        return list(range(len(values)))
    stretches = (points - 2) // 2
    kept = {0, len(values) - 1}
    for stretch in range(stretches):
        start, end = (1 + inner * place // stretches for place in (stretch, stretch + 1))
        finite = [value for value in values[start:end] if math.isfinite(value)]
        kept |= {values.index(find(finite), start, end) for find in (min, max)} if finite else {start}
    return sorted(kept)


VALUES = st.sampled_from([0.0, 1.0, 2.0, -1.0, NAN, INF])


@given(st.lists(st.tuples(st.lists(VALUES, min_size=1, max_size=40), st.integers(4, 12)), max_size=6))
def test_many_curves_at_once_are_as_one_by_one(curves):
    every = [value for values, _ in curves for value in values]
    lengths = np.array([len(values) for values, _ in curves], dtype=np.int64)
    points = np.array([points for _, points in curves], dtype=np.int64)
    begins = np.cumsum(lengths) - lengths
    expected = [
        int(begin) + place
        for begin, (values, points) in zip(begins, curves, strict=True)
        for place in slowly(values, points=points)
    ]
    assert thin(np.array(every, dtype=np.float64), lengths, points=points).tolist() == expected
