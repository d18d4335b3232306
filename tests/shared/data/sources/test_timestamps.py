"""Times from text: known moments, and what cannot be ordered."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.sources.timestamps import read_times


def read(*texts: str) -> tuple[list[int], list[str]]:
    problems: list[str] = []
    times = read_times(texts, rows=[f"r{i}" for i in range(len(texts))], column="when", problems=problems)
    assert times.dtype == np.int64
    return times.tolist(), problems


def test_iso_8601_is_microseconds_since_1970() -> None:
    day = 24 * 3600 * 10**6
    assert read("1970-01-02", "1970-01-02T01:00", "1970-01-01 00:00:00.000001") == (
        [day, day + 3600 * 10**6, 1],
        [],
    )
    assert read("1970-01-02T02:00+02:00", "1970-01-02T00:00Z") == ([day, day], [])
    assert read("1969-12-31T23:59:59")[0] == [-(10**6)]


def test_plain_numbers_keep_their_order() -> None:
    assert read("3", "1.5", "-2", "1e3") == ([3_000_000, 1_500_000, -2_000_000, 1_000_000_000], [])


def test_times_that_are_wrong_in_many_rows_are_counted() -> None:
    _, problems = read("2024-01-01", *["soon"] * 300)
    assert problems[-1] == "... and 290 more of this kind"
    assert len(problems) == 11


@pytest.mark.parametrize("text", ["", "noon", "2024-13-01", "nan", "inf", "1e30"])
def test_what_is_no_time_is_named(text: str) -> None:
    assert read("3", text)[1] == [f"'r1' has when {text!r}, expected ISO 8601 or a number"]


def test_times_that_are_written_in_different_ways_are_named() -> None:
    problems = read("2024-05-01", "2024-05-01T00:00Z", "7")[1]
    kinds = (
        "numbers (such as in 'r2') and times with a zone (such as in 'r1') and times without a zone (such as"
    )
    assert problems == [f"column 'when' mixes {kinds} in 'r0'); write all times alike"]
