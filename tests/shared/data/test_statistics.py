from __future__ import annotations

import json

import numpy as np
import pytest

from shared.data.profile import Moments, Profile
from shared.data.statistics import TOGETHER, federated_statistics

VALUES = {"a": [1.0, 2, 3, 4, 5, 6], "b": [10.0, 10, 10, 10, 40], "c": [7.0, 8], "d": [5.0] * 9}


def profile(site: str, counts: dict[str, int]) -> Profile:
    moments = {"age": Moments.of(np.array(VALUES[site]))} if site != "d" else {}
    return Profile(counts={"label": counts}, moments=moments, missing={"age": 1} if site == "b" else {})


PROFILES = {
    "a": profile("a", {"sick": 3, "well": 3}),
    "b": profile("b", {"sick": 6, "well": 0}),
    "c": profile("c", {"sick": 1, "well": 1}),
    "d": profile("d", {"sick": 5, "well": 4}),
}
SIZES = {"a": 6, "b": 6, "c": 2, "d": 9}


def test_columns_are_those_of_the_rows_together_and_small_sites_tell_nothing() -> None:
    found = federated_statistics(PROFILES, sizes=SIZES, min_count=5)
    assert found.sizes == {"a": 6, "b": 6, "c": None, "d": 9}
    rows = {row.site: row for row in found.columns}
    assert (rows["a"].values, rows["a"].missing, rows["a"].mean) == (6, 0, 3.5)
    assert (rows["b"].values, rows["b"].missing, rows["b"].mean, rows["b"].deviation) == (5, 1, 16, 12)
    for silent in ("c", "d"):  # one is too small, the other keeps its moments back
        assert (rows[silent].values, rows[silent].mean) == (None, None)
    together = np.array(VALUES["a"] + VALUES["b"])
    assert (rows[TOGETHER].values, rows[TOGETHER].missing) == (11, 1)
    assert rows[TOGETHER].mean == pytest.approx(together.mean())
    assert rows[TOGETHER].deviation == pytest.approx(together.std())
    assert json.loads(json.dumps(found.as_dict())) == found.as_dict()


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"x": 7, "y": 5, "z": 0}, {"x": 7, "y": 5, "z": 0}),
        ({"x": 9, "y": 6, "z": 2}, {"x": 9, "y": None, "z": None}),  # z follows from the others
        ({"x": 9, "y": 3, "z": 2}, {"x": 9, "y": None, "z": None}),
        ({"x": 0, "y": 0, "z": 4}, {"x": None, "y": 0, "z": None}),
    ],
)
def test_small_counts_are_not_told_nor_what_tells_them(
    counts: dict[str, int], told: dict[str, int | None]
) -> None:
    found = federated_statistics({"a": Profile(counts={"label": counts})}, sizes={"a": 20}, min_count=5)
    assert [row.counts for row in found.counts] == [told, told]


def test_all_together_are_only_told_where_every_site_that_tells_has_told() -> None:
    found = {row.site: row.counts for row in federated_statistics(PROFILES, sizes=SIZES, min_count=5).counts}
    assert found["a"] == found["c"] == found["d"] == found[TOGETHER] == {"sick": None, "well": None}
    assert found["b"] == {"sick": 6, "well": 0}
    every = federated_statistics(PROFILES, sizes=SIZES, min_count=1).counts[-1]
    assert every.counts == {"sick": 15, "well": 8}
