"""`ForestGrower`: the trees of a random forest (Breiman 2001), by scikit-learn, in our form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.trees.fixed_point import Floats
from shared.trees.libraries.rows import TreeRows, in_32_bits, up_to
from shared.trees.model import Tree

_LARGEST_SEED = np.iinfo(np.int32).max


class ForestGrower:
    """Grows the trees that one `RandomForestClassifier` or `RandomForestRegressor` of scikit-learn would.

    Of a category each level is an input of its own, and missing where none is given.

    Parameters
    ----------
    parameters : mapping
        scikit-learn's own, by its names.
    seed : int
        The ``random_state`` of that forest.
    """

    def __init__(self, rows: TreeRows, *, parameters: Mapping[str, Any], seed: int) -> None:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        self._rows, self._seed = rows, seed
        numbers = rows.objective.name == "mean"
        kind = RandomForestRegressor if numbers else RandomForestClassifier
        self._forest = kind(**parameters, n_estimators=1, n_jobs=1)
        # Of each input that the forest gets: where it is from, and its level, -1 for a number.
        self._columns = [
            (place, level)
            for place, feature in enumerate(rows.features)
            for level in (range(feature.levels) if feature.levels else (-1,))
        ]
        inputs = in_32_bits(rows.inputs, rows.features, library="scikit-learn")
        self._inputs = np.stack(
            [inputs[:, place] if level < 0 else inputs[:, place] == level for place, level in self._columns],
            axis=1,
        ).astype(np.float32)

    def grow(self, scores: Floats, *, number: int) -> tuple[Tree, ...]:
        """A tree of the forest, once for each raw score."""
        state = np.random.RandomState(self._seed)
        state.randint(_LARGEST_SEED, size=number)  # one for each tree that came before
        self._forest.random_state = state
        rows = self._rows
        self._forest.fit(self._inputs, rows.targets, sample_weight=rows.weights)
        grown = self._forest.estimators_[0].tree_
        outputs = rows.objective.outputs
        if rows.objective.name == "mean":
            values = grown.value[:, 0, :]
        else:
            values = np.zeros((grown.node_count, max(outputs, 2)))
            values[:, self._forest.classes_.astype(np.int64)] = grown.value[:, 0, :]
            values = values[:, 1:] if outputs == 1 else values
        return tuple(self._tree(grown, values[:, place]) for place in range(outputs))

    def _tree(self, grown: Any, values: Floats) -> Tree:
        leaf = grown.children_left < 0
        columns = np.array(self._columns)[np.where(leaf, 0, grown.feature)]
        places, levels = columns.T
        category = ~leaf & (levels >= 0)
        # A split is in 64 bits, and what it divides in 32.
        limits = grown.threshold.astype(np.float32)
        limits = np.where(limits > grown.threshold, np.nextafter(limits, np.float32(-np.inf)), limits)
        others = [
            tuple(other for other in range(self._rows.features[place].levels) if other != level) if own else ()
            for place, level, own in zip(places.tolist(), levels.tolist(), category.tolist(), strict=True)
        ]
        weighed = grown.weighted_n_node_samples * grown.impurity
        left, right = (np.where(leaf, 0, side) for side in (grown.children_left, grown.children_right))
        gain = np.maximum(weighed - weighed[left] - weighed[right], 0.0)
        missing_left = grown.missing_go_to_left.astype(np.bool_)
        return Tree(
            feature=np.where(leaf, -1, places).astype(np.int64),
            threshold=np.where(leaf | category, 0.0, up_to(limits)),
            levels=tuple(others),
            missing_left=~leaf & (category | missing_left),
            left=grown.children_left.astype(np.int64),
            right=grown.children_right.astype(np.int64),
            value=np.where(leaf, values, 0.0).astype(np.float64),
            gain=np.where(leaf, 0.0, gain),
            rows=np.zeros(len(leaf), dtype=np.int64),
        )
