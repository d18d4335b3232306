"""`Preparation`, by hand: what a network gets of numbers, gaps and levels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from shared.data.profile import Moments
from shared.data.schema import Column
from shared.data.tables.prepare import Preparation, PreparedRows, agreed_inputs
from shared.data.tables.sites import sites_of
from tests.shared.data.tables.table_kit import table_config

COLUMNS = (
    Column("age", "numeric"),
    Column("cp", "categorical", ("a", "b", "c")),
    Column("flag", "boolean"),
    Column("none", "categorical", ("x",)),
)
ROWS = np.array([[10.0, 0, 1, 0], [30.0, 2, 0, 0], [math.nan, math.nan, math.nan, math.nan]])
MOMENTS = {"age": Moments(2, 20.0, 200.0), "flag": Moments(2, 0.5, 0.5)}

PREPARED = {
    "scaled": ([], [[-1, 1, 1, 0, 0, 1], [1, -1, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]]),
    "as they are": (["data.scaling=none"], [[10, 1, 1, 0, 0, 1], [30, 0, 0, 0, 1, 1], [20, 0.5, 0, 0, 0, 0]]),
    "gaps": (
        ["data.missing=indicator"],
        [[-1, 1, 0, 0, 1, 0, 0, 1], [1, -1, 0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 0, 0, 0, 0]],
    ),
    "a level less": (["data.drop_first_level=true"], [[-1, 1, 0, 0], [1, -1, 0, 1], [0, 0, 0, 0]]),
}


@pytest.mark.parametrize(("overrides", "expected"), PREPARED.values(), ids=PREPARED)
def test_rows_are_prepared_by_the_settings(
    overrides: list[str], expected: list[list[float]], tmp_path: Path
) -> None:
    cfg = table_config(tmp_path / "rows.csv", *overrides, target="y")
    preparation = Preparation(COLUMNS, cfg=cfg, agreed=agreed_inputs(COLUMNS, MOMENTS))
    found = preparation(ROWS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert preparation.width == found.shape[1] == Preparation(COLUMNS, cfg=cfg, agreed={}).width
    rows = PreparedRows(ROWS, preparation)
    np.testing.assert_array_equal(rows[np.array([2, 0])], found[[2, 0]])
    assert rows[:0].shape == (0, preparation.width)
    assert len(rows) == 3


def test_each_site_is_scaled_by_its_own_training_rows(tmp_path: Path) -> None:
    """North has the ages 10 and 30, south 100 and 500: by mean and deviation of each, all are -1 and 1."""
    inputs = np.array([[10.0], [30], [100], [500], [20], [math.nan], [700]])
    train = np.array([True] * 4 + [False] * 3)
    sites = sites_of({"site": np.array([*"nnssnss"])}, train=train, own=False, problems=[])
    assert sites is not None
    columns = (Column("age", "numeric"),)
    agreed = sites.agreed(columns, inputs, train)
    scales = {"n": {"centers": [20.0], "scales": [10.0]}, "s": {"centers": [300.0], "scales": [200.0]}}
    assert agreed == {"sites": {"column": "site", "scales": scales}}
    cfg = table_config(tmp_path / "rows.csv", "data.scaling=local", target="y")
    preparation = Preparation(columns, cfg=cfg, agreed=agreed)
    rows = PreparedRows(inputs, preparation, sites=sites.numbers)
    assert rows[:].ravel().tolist() == [-1, 1, -1, 1, 0, 0, 2]
    assert (preparation.sites, preparation.site_column) == (("n", "s"), "site")
    pooled = Preparation(columns, cfg=table_config(tmp_path / "rows.csv", target="y"), agreed=agreed)
    assert pooled.sites == ()


@pytest.mark.parametrize(
    ("columns", "own", "said"),
    [
        ({}, False, "no column names the sites; name it by data.columns.site"),
        ({"site": ["a", "a", "", "a"]}, False, "no site in 'site' in 1 row,"),
        ({"ward": ["a", "a", "a", "b"]}, False, "fewer of 'b', whose rows cannot be scaled"),
        ({}, True, None),
    ],
)
def test_rows_without_a_site_cannot_be_scaled_by_it(
    columns: dict[str, list[str]], own: bool, said: str | None
) -> None:
    problems: list[str] = []
    given = {name: np.array(values) for name, values in columns.items()}
    if "ward" in given:
        given["site"] = given["ward"]
    found = sites_of(given, train=np.array([True, True, True, False]), own=own, problems=problems)
    if said is None:  # a site's own table
        assert found is not None
        assert (problems, found.numbers.tolist()) == ([], [0] * 4)
    else:
        assert said in problems[0]


def test_a_column_that_never_changes_or_that_nobody_tells_of_stays_finite() -> None:
    agreed = agreed_inputs(COLUMNS, {"age": Moments(3, 7.0, 0.0)})
    assert agreed == {"inputs": {"centers": [7.0, 0.0], "scales": [1.0, 1.0]}}


@pytest.mark.parametrize("scale", [1e-100, 1e-9, 1.0, 1e9, 1e100])
def test_what_is_agreed_on_is_the_same_in_whichever_parts_rows_were_added_up(scale: float) -> None:
    values = np.random.default_rng(0).normal(3, 1, 3000) * scale
    column = (Column("v", "numeric"),)
    whole = agreed_inputs(column, {"v": Moments.of(values)})
    for parts in (2, 7, 100):
        total, *rest = [Moments.of(part) for part in np.array_split(values, parts)]
        for own in rest:
            total = total.with_(own)
        assert agreed_inputs(column, {"v": total}) == whole
        np.testing.assert_allclose(total.mean, values.mean(), rtol=1e-12)
        np.testing.assert_allclose(total.deviation, values.std(), rtol=1e-12)
