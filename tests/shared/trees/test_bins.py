"""Values in their bins, and inputs that have none."""

from __future__ import annotations

import numpy as np
import pytest

from shared.runtime.errors import ConfigError, DataError
from shared.trees.bins import Bins, Feature, check_inputs
from shared.trees.settings import TreeSettings

FEATURES = (Feature("size"), Feature("kind", 3))


def test_codes_and_layout() -> None:
    bins = Bins(FEATURES, (np.array([1.0, 2.0]), np.array([])))
    inputs = np.array([[1.0, 0], [1.5, 2], [2.0, 1], [9.0, np.nan], [np.nan, 0]])
    assert bins.codes(inputs).tolist() == [[0, 1, 1, 2, 3], [0, 2, 1, 3, 0]]
    assert bins.layout.offsets.tolist() == [0, 4, 8]
    assert bins.layout.of(np.array([1])).offsets.tolist() == [0, 4]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (np.zeros((2, 3)), "expected 2 columns"),
        (np.zeros(2), "expected 2 columns"),
        (np.full((2, 2), "a"), "expected numbers"),
        (np.array([[np.inf, 0], [-np.inf, 0]]), "input 'size': 2 infinite values"),
        (np.array([[0.0, 3], [0, 4]]), r"input 'kind': expected the levels 0 to 2, got 3 \(2 such rows\)"),
        (np.array([[0.0, 0.5]]), "got 0.5"),
        (np.array([[0.0, -1]]), "got -1"),
    ],
)
def test_inputs_without_bins(inputs: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        check_inputs(inputs, FEATURES)


def test_too_many_levels() -> None:
    with pytest.raises(ConfigError, match="'kind': expected at most 255 levels, got 256"):
        Feature("kind", 256)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rounds", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("growth", "wide"),
        ("max_depth", 65),
        ("max_depth", 17),
        ("max_leaves", 1),
        ("lambda_l2", -1.0),
        ("min_samples_leaf", 0),
        ("max_bins", 256),
        ("subsample", 0.0),
        ("colsample", 1.5),
        ("seed", -1),
        ("patience", 0),
    ],
)
def test_settings_out_of_range(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{setting}: "):
        TreeSettings(**{setting: value})  # type: ignore[arg-type]
