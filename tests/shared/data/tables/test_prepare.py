"""`Preparation`, by hand: what a network gets of numbers, gaps and levels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from shared.data.profile import Moments
from shared.data.schema import Column
from shared.data.tables.prepare import Preparation, PreparedRows, agreed_inputs
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
