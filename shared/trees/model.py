"""`TreeEnsemble`: trained trees, which predict from inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import DataError
from shared.trees.bins import Bins, Feature, Ints
from shared.trees.fixed_point import Floats
from shared.trees.grower import GrowingTree
from shared.trees.objectives import Objective

BLOCK = 16_384  # rows that are predicted together
LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, eq=False)
class Tree:
    """A tree, its nodes in the order in which they grew: children have higher numbers than their parents.

    Attributes
    ----------
    feature : ndarray [M], int64
        Of each node, -1 for a leaf.
    threshold : ndarray [M], float64
        Numbers up to it go left; 0 for categories and leaves.
    levels : tuple of tuple of int
        Of each node, the levels that go left, ascending; empty for numbers and leaves.
    missing_left : ndarray [M], bool
        Where missing values go, and levels that are unknown.
    left, right : ndarray [M], int64
        Children, -1 for a leaf.
    value : ndarray [M], float64
        What a leaf adds to the raw score; 0 elsewhere.
    gain : ndarray [M], float64
        Of each split.
    rows : ndarray [M], int64
        Training rows of each node.
    """

    feature: Ints
    threshold: Floats
    levels: tuple[tuple[int, ...], ...]
    missing_left: NDArray[np.bool_]
    left: Ints
    right: Ints
    value: Floats
    gain: Floats
    rows: Ints

    @classmethod
    def grown(cls, tree: GrowingTree, inputs: Ints, bins: Bins) -> Tree:
        """The tree that has grown, from the places ``inputs`` of its layout."""
        count = len(tree.nodes)
        made = {field.name: np.zeros(count) for field in _ARRAYS}
        levels: list[tuple[int, ...]] = [()] * count
        for number, node in enumerate(tree.nodes):
            made["left"][number], made["right"][number], made["rows"][number] = (
                node.left,
                node.right,
                node.sums[2],
            )
            if node.is_leaf or node.split is None:
                made["feature"][number], made["value"][number] = -1, tree.value(node)
                continue
            split, place = node.split, int(inputs[node.split.feature])
            feature, edges = bins.features[place], bins.edges[place]
            made["feature"][number], made["gain"][number] = place, split.gain
            made["missing_left"][number] = split.table[feature.levels or len(edges) + 1]
            if feature.levels:
                levels[number] = tuple(np.flatnonzero(split.table[: feature.levels]).tolist())
            else:
                made["threshold"][number] = edges[split.bin] if split.bin < len(edges) else LARGEST
        return cls.of({name: array.tolist() for name, array in made.items()}, levels)

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[float]], levels: Sequence[Sequence[int]]) -> Tree:
        """A tree from lists of numbers."""
        arrays: dict[str, Any] = {
            field.name: np.array(columns[field.name], dtype=KINDS[field.name]) for field in _ARRAYS
        }
        return cls(levels=tuple(tuple(own) for own in levels), **arrays)

    def revalued(self, value: Floats) -> Tree:
        """The same tree with other values of its leaves, [M]."""
        return replace(self, value=value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        return all(np.array_equal(getattr(self, one.name), getattr(other, one.name)) for one in _ARRAYS) and (
            self.levels == other.levels
        )

    __hash__ = None  # type: ignore[assignment]

    def add_to(
        self, scores: Floats, inputs: Floats, missing: NDArray[np.bool_], features: Sequence[Feature]
    ) -> None:
        """Add the values of the leaves of all rows.

        Parameters
        ----------
        scores : ndarray [N], float64
        inputs : ndarray [F, N], float64
        missing : ndarray [F, N], bool
        """
        members: list[NDArray[np.intp] | None] = [None] * len(self.left)
        members[0] = np.arange(len(scores))
        for number, rows in enumerate(members):
            if rows is None or not len(rows):
                continue
            place = int(self.feature[number])
            if place < 0:
                scores[rows] += self.value[number]
                continue
            values = inputs[place].take(rows)
            if features[place].levels:
                table = np.zeros(features[place].levels, dtype=np.bool_)
                table[list(self.levels[number])] = True
                known = (values >= 0) & (values < len(table)) & (values == np.floor(values))
                goes_left = np.full(len(rows), self.missing_left[number])
                goes_left[known] = table[values[known].astype(np.int64)]
            else:
                goes_left = values <= self.threshold[number]
                if self.missing_left[number]:
                    goes_left |= missing[place].take(rows)
            members[number] = None
            members[int(self.left[number])] = rows.take(np.flatnonzero(goes_left))
            members[int(self.right[number])] = rows.take(np.flatnonzero(~goes_left))


_ARRAYS = [field for field in fields(Tree) if field.name != "levels"]
# The type of each array of a tree.
KINDS: dict[str, type[np.generic]] = {
    "feature": np.int64,
    "threshold": np.float64,
    "missing_left": np.bool_,
    "left": np.int64,
    "right": np.int64,
    "value": np.float64,
    "gain": np.float64,
    "rows": np.int64,
}


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """A model of boosted trees, or of the trees of a forest.

    Attributes
    ----------
    start : ndarray [K], float64
        Raw scores before the first tree; of a forest, while it has no tree.
    rounds : tuple of tuple of Tree
        Of each round a tree for each raw score.
    """

    features: tuple[Feature, ...]
    objective: Objective
    start: Floats
    rounds: tuple[tuple[Tree, ...], ...]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeEnsemble):
            return NotImplemented
        return (
            self.features == other.features
            and (self.objective.name, self.objective.outputs) == (other.objective.name, other.objective.outputs)
            and np.array_equal(self.start, other.start)
            and self.rounds == other.rounds
        )

    __hash__ = None  # type: ignore[assignment]

    def scores(self, inputs: NDArray[Any]) -> Floats:
        """Raw scores [K, N] of inputs [N, F]; NaN is missing, levels that are unknown count as missing.

        Raises
        ------
        DataError
            Another number of columns.
        """
        if inputs.ndim != 2 or inputs.shape[1] != len(self.features):
            raise DataError(
                f"inputs: expected {len(self.features)} columns, got an array of shape {inputs.shape}"
            )
        scores = self.before(len(inputs))
        for first in range(0, len(inputs), BLOCK):
            span = slice(first, first + BLOCK)
            self.add_to(scores[:, span], inputs[span])
        return self.told(scores)

    def before(self, rows: int) -> Floats:
        """Sums [K, N] over no tree, for `add_to`."""
        start = np.zeros_like(self.start) if self.objective.averages else self.start
        return np.repeat(start[:, None], rows, axis=1)

    def told(self, sums: Floats) -> Floats:
        """Raw scores, of sums over all trees: those of a forest are means."""
        if not self.objective.averages:
            return sums
        if not self.rounds:
            return np.repeat(self.start[:, None], sums.shape[1], axis=1)
        return sums / len(self.rounds)

    def extended(self, rounds: Sequence[tuple[Tree, ...]]) -> TreeEnsemble:
        """The model with more trees."""
        return replace(self, rounds=(*self.rounds, *rounds))

    def add_to(self, scores: Floats, inputs: NDArray[Any], *, since: int = 0) -> None:
        """Add what the trees say, from a round on.

        Parameters
        ----------
        scores : ndarray [K, n], float64
            Of the same rows as the inputs [n, F], at most `BLOCK`.
        """
        block = np.ascontiguousarray(inputs.T, dtype=np.float64)
        missing = np.isnan(block)
        for trees in self.rounds[since:]:
            for tree, own in zip(trees, scores, strict=True):
                tree.add_to(own, block, missing, self.features)

    def predict(self, inputs: NDArray[Any]) -> Floats:
        """Predictions of the objective: values [N], or probabilities [N, classes]."""
        return self.objective.predictions(self.scores(inputs))

    def importance(self) -> Floats:
        """The share of each input in the gain of all splits, [F]; zeros for a model without splits."""
        gains = np.zeros(len(self.features))
        for trees in self.rounds:
            for tree in trees:
                splits = tree.feature >= 0
                np.add.at(gains, tree.feature[splits], tree.gain[splits])
        return gains / total if (total := gains.sum()) > 0 else gains
