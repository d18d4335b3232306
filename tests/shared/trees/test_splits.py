"""Splits and leaf values of cases small enough to work out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.trees.bins import CODES, Feature, Layout
from shared.trees.client import ClientTrees
from shared.trees.objectives import SquaredError
from shared.trees.settings import TreeSettings
from shared.trees.splits import best_splits
from shared.trees.training import train_trees

LOOSE: dict[str, Any] = {"min_samples_leaf": 1, "min_child_weight": 0.0, "lambda_l2": 0.0}


def layout(*sizes: int, categorical: tuple[int, ...] = ()) -> Layout:
    return Layout(np.array(sizes), np.array([place in categorical for place in range(len(sizes))]))


def histogram(*rows: tuple[float, float, float]) -> Any:
    return np.array([rows])


def test_a_tree_worked_out_by_hand() -> None:
    inputs, targets = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0.0, 0.0, 10.0, 14.0])
    features = [Feature("x")]
    client = ClientTrees(inputs, targets, features=features, objective=SquaredError())
    chosen = TreeSettings(rounds=1, max_depth=2, learning_rate=0.5, min_samples_leaf=1, lambda_l2=0.0)
    model = train_trees({"a": client}, features=features, objective=SquaredError(), settings=chosen).ensemble
    ((tree,),) = model.rounds
    # Mean 6; gradients 6 6 -4 -8. The best split is after 2: half of 12**2/2 + 12**2/2 - 0 = 72; on the right
    # half of 16 + 64 - 144/2 = 4; on the left both rows are the same, and no split gains.
    assert model.start.tolist() == [6.0]
    assert tree.feature.tolist() == [0, -1, 0, -1, -1]
    assert tree.threshold.tolist() == [2.5, 0.0, 3.5, 0.0, 0.0]
    assert tree.gain.tolist() == [72.0, 0.0, 4.0, 0.0, 0.0]
    assert tree.value.tolist() == [0.0, -3.0, 0.0, 2.0, 4.0]
    assert tree.rows.tolist() == [4, 2, 2, 1, 1]
    assert model.predict(inputs).tolist() == [3.0, 3.0, 8.0, 10.0]


@pytest.mark.parametrize(
    ("missing", "lefts", "gain"),
    [
        ((-4.0, 2.0, 2), [0, 2], 0.5 * (64 / 4 + 16 / 2 - 16 / 6)),  # with those that are like them
        ((4.0, 2.0, 2), [0], 0.5 * (16 / 2 + 64 / 4 - 16 / 6)),
        ((0.0, 0.0, 0), [0, 2], 0.5 * (8 + 8 - 0)),  # none in this node: with more rows, or left
    ],
)
def test_missing_values_go_where_more_is_gained(
    missing: tuple[float, float, float], lefts: Any, gain: float
) -> None:
    (split,) = best_splits(histogram((-4, 2, 2), (4, 2, 2), missing), layout(3), TreeSettings(**LOOSE))
    assert split is not None
    assert np.flatnonzero(split.table).tolist() == lefts
    assert split.gain == pytest.approx(gain)


def test_missing_values_can_be_a_side_of_their_own() -> None:
    (split,) = best_splits(histogram((-4, 2, 2), (-4, 2, 2), (8, 2, 2)), layout(3), TreeSettings(**LOOSE))
    assert split is not None
    assert (split.bin, np.flatnonzero(split.table).tolist()) == (1, [0, 1])


def test_levels_are_sorted_by_their_ratio() -> None:
    levels = histogram((4, 2, 2), (-4, 2, 2), (0, 0, 0), (4.2, 2, 2), (-4, 2, 2), (0, 0, 0))
    chosen = TreeSettings(**LOOSE, category_l2=0.0, category_smoothing=0.0)
    (split,) = best_splits(levels, layout(6, categorical=(0,)), chosen)
    assert split is not None
    # Levels 1 and 4 against 0 and 3; level 2 and missing values have no rows, and go with more rows, or left.
    assert np.flatnonzero(split.table).tolist() == [1, 2, 4, 5]
    assert split.gain == pytest.approx(0.5 * (64 / 4 + 8.2**2 / 4 - 0.2**2 / 8))
    stiff = TreeSettings(**LOOSE, category_l2=4.0, category_smoothing=0.0)
    (split,) = best_splits(levels, layout(6, categorical=(0,)), stiff)
    assert split is not None
    assert split.gain == pytest.approx(0.5 * (64 / 8 + 8.2**2 / 8 - 0.2**2 / 8))


def test_few_levels_are_divided_without_further_penalty() -> None:
    levels = histogram((4, 2, 2), (-4, 2, 2), (0, 0, 0))
    (split,) = best_splits(levels, layout(3, categorical=(0,)), TreeSettings(**LOOSE))
    assert split is not None
    assert split.gain == pytest.approx(0.5 * (16 / 2 + 16 / 2))


def test_ties_go_to_the_lowest_input_and_bin_also_where_rounding_differs() -> None:
    one = [(-4.0, 2.0, 2.0), (0.0, 0.0, 0.0), (4.0, 2.0, 2.0), (0.0, 0.0, 0.0)]
    nudged = [(-4.0, 2.0, 2.0), (0.0, 0.0, 0.0), (4.0 + 1e-13, 2.0, 2.0), (0.0, 0.0, 0.0)]
    for both in ([*one, *one], [*one, *nudged]):
        (split,) = best_splits(histogram(*both), layout(4, 4), TreeSettings(**LOOSE))
        assert split is not None
        assert (split.feature, split.bin) == (0, 0)
    (split,) = best_splits(histogram(*nudged, *one), layout(4, 4), TreeSettings(**LOOSE))
    assert split is not None
    assert split.feature == 0


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({}, 0),
        ({"min_samples_leaf": 2}, 1),
        ({"min_child_weight": 1.5}, 1),
        ({"min_samples_leaf": 3}, None),
        ({"min_child_weight": 2.5}, None),
        ({"min_gain": 39.0}, 0),
        ({"min_gain": 41.0}, None),
        ({"lambda_l1": 7.0}, 0),
        ({"lambda_l1": 8.0}, None),
    ],
)
def test_limits(more: dict[str, Any], end: int | None) -> None:
    # Gradients add up to 0, Hessians to 5. Gains: (64/1 + 64/4) / 2 = 40, (49/3 + 49/2) / 2 = 20.4, 10.
    bins = histogram((-8, 1, 1), (1, 2, 1), (3, 1, 1), (4, 1, 1), (0, 0, 0))
    (split,) = best_splits(bins, layout(5), TreeSettings(**(LOOSE | more)))
    assert (None if split is None else split.bin) == end


def test_a_node_whose_gradients_are_alike_is_not_divided() -> None:
    bins = histogram((0.1, 1, 1), (0.2, 2, 2), (0.3, 3, 3), (0, 0, 0))
    assert best_splits(bins, layout(4), TreeSettings(**LOOSE)) == [None]


def test_a_table_has_a_place_for_every_code() -> None:
    (split,) = best_splits(histogram((-4, 2, 2), (4, 2, 2), (0, 0, 0)), layout(3), TreeSettings(**LOOSE))
    assert split is not None
    assert split.table.shape == (CODES,)
