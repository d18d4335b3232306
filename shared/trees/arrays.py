"""Models of trees as named arrays, which checkpoints and messages carry, and back, checked whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import TreesError
from shared.trees.bins import Feature
from shared.trees.format import LARGEST_VALUE, check_tree
from shared.trees.model import KINDS, Tree, TreeEnsemble
from shared.trees.objectives import Objective

START, NODES, LEVEL_COUNTS, LEVELS = "start", "nodes", "level_counts", "levels"
# In this order. `NODES` counts the nodes of each tree, `LEVEL_COUNTS` the levels of each node.
TYPES: dict[str, type[np.generic]] = {
    START: np.float64, NODES: np.int64, **KINDS, LEVEL_COUNTS: np.int64, LEVELS: np.int64,
}  # fmt: skip


def to_arrays(model: TreeEnsemble) -> dict[str, NDArray[Any]]:
    """A model as arrays, its trees one after the other."""
    trees = [tree for trees in model.rounds for tree in trees]
    own: dict[str, list[NDArray[Any]]] = {name: [getattr(tree, name) for tree in trees] for name in KINDS}
    levels = [level for tree in trees for level in tree.levels]
    found = {
        START: model.start,
        NODES: np.array([len(tree.feature) for tree in trees]),
        **{name: np.concatenate([np.zeros(0, dtype=KINDS[name]), *parts]) for name, parts in own.items()},
        LEVEL_COUNTS: np.array([len(level) for level in levels]),
        LEVELS: np.array(list(chain.from_iterable(levels))),
    }
    return {name: np.asarray(found[name], dtype=kind) for name, kind in TYPES.items()}


def from_arrays(
    arrays: Mapping[str, NDArray[Any]],
    *,
    features: Sequence[Feature],
    objective: Objective,
    known: Sequence[tuple[Tree, ...]] = (),
) -> TreeEnsemble:
    """The model that `to_arrays` took apart, or somebody else made up.

    Parameters
    ----------
    known : sequence of tuple of Tree
        Rounds that were read before; those of them that are the same are these objects.

    Raises
    ------
    TreesError
        It is no model of trees with these inputs and this objective.
    """
    try:
        _check(arrays, outputs=objective.outputs)
        counts, levels = arrays[NODES], arrays[LEVEL_COUNTS]
        ends = np.cumsum(counts)
        level_ends = np.cumsum(levels)
        trees: list[Tree] = []
        for number, (end, count) in enumerate(zip(ends.tolist(), counts.tolist(), strict=True)):
            span = slice(end - count, end)
            parts = [
                arrays[LEVELS][last - size : last]
                for last, size in zip(level_ends[span].tolist(), levels[span].tolist(), strict=True)
            ]
            tree = Tree(
                levels=tuple(tuple(part.tolist()) for part in parts),
                **{name: np.array(arrays[name][span]) for name in KINDS},
            )
            before, place = divmod(number, objective.outputs)
            if before < len(known) and tree == known[before][place]:
                tree = known[before][place]
            else:
                check_tree(tree, tuple(features), where=f"tree {number}")
            trees.append(tree)
    except ValueError as error:
        raise TreesError(f"these arrays are no model of trees: {error}") from None
    rounds = tuple(
        tuple(trees[first : first + objective.outputs]) for first in range(0, len(trees), objective.outputs)
    )
    return TreeEnsemble(tuple(features), objective, np.array(arrays[START]), rounds)


def _check(arrays: Mapping[str, NDArray[Any]], *, outputs: int) -> None:
    if list(arrays) != list(TYPES):
        raise ValueError(f"expected {list(TYPES)}, got {list(arrays)}")
    for name, kind in TYPES.items():
        if arrays[name].ndim != 1 or arrays[name].dtype != kind:
            raise ValueError(f"expected {name} as {np.dtype(kind)} [n], got {arrays[name].dtype}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} has values that are not finite")
    counts, nodes = arrays[NODES], len(arrays[LEVEL_COUNTS])
    if len(arrays[START]) != outputs or len(counts) % outputs:
        raise ValueError(f"expected {outputs} trees a round, got {len(counts)} in all")
    for name in (START, "value"):
        if arrays[name].size and np.abs(arrays[name]).max() > LARGEST_VALUE:
            raise ValueError(f"{name} has values beyond {LARGEST_VALUE:g}")
    if counts.size and counts.min() < 1:
        raise ValueError("a tree has no node")
    for name in (*KINDS, LEVEL_COUNTS):
        if len(arrays[name]) != counts.sum():
            raise ValueError(f"expected {int(counts.sum())} entries of {name}, got {len(arrays[name])}")
    if (nodes and arrays[LEVEL_COUNTS].min() < 0) or arrays[LEVEL_COUNTS].sum() != len(arrays[LEVELS]):
        raise ValueError(f"{LEVEL_COUNTS} do not add up to the {len(arrays[LEVELS])} levels")
    if arrays[LEVELS].size and arrays[LEVELS].min() < 0:
        raise ValueError("a level is negative")
