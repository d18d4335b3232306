"""What a question may ask of a client; a server that asks for more is refused before anything is counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.runtime.errors import FederationError
from shared.trees.bins import Feature, Ints, Layout
from shared.trees.messages import Begin, Count, Grow
from shared.trees.settings import MAX_BINS, MAX_LEAVES
from shared.trees.sketch import BITS, STEP

# Cells of an input that a server divides: those with more than half the rows of a bin.
_MOST_CELLS = 2 * MAX_BINS


def check_count(question: Count, features: Sequence[Feature]) -> None:
    """Make sure that cells are of these inputs, and not more than a server needs.

    Raises
    ------
    FederationError
    """
    _need(question.resolved in range(0, BITS, STEP), "resolved", f"{question.resolved} bits")
    _inside("feature", question.feature, len(features))
    cells = np.bincount(question.feature, minlength=1)
    _need(int(cells.max()) <= _MOST_CELLS, "prefix", f"{cells.max()} cells of an input")
    whole = not question.resolved or bool((question.prefix < np.uint64(1 << question.resolved)).all())
    _need(whole and (bool(question.resolved) or not question.prefix.any()), "prefix", "one beyond its bits")
    ordered = (np.diff(question.feature) > 0) | (
        (np.diff(question.feature) == 0) & (question.prefix[1:] > question.prefix[:-1])
    )
    _need(bool(ordered.all()), "prefix", "cells that are not ascending")


def check_begin(question: Begin, features: Sequence[Feature], outputs: int) -> None:
    """Make sure that the edges are those of these inputs.

    Raises
    ------
    FederationError
    """
    _need(len(question.edges) == len(features), "edges", f"those of {len(question.edges)} inputs")
    for feature, edges in zip(features, question.edges, strict=True):
        most = 0 if feature.levels else MAX_BINS - 1
        _need(
            len(edges) <= most and bool((np.diff(edges) > 0).all()), "edges", f"wrong ones of {feature.name!r}"
        )
    _need(len(question.scores) == outputs, "scores", f"{len(question.scores)} numbers")


def check_grow(question: Grow, layout: Layout, *, trees: int, outputs: int) -> None:
    """Make sure that trees, inputs and bins are there.

    Parameters
    ----------
    trees : int
        Those that grow: none before the first round.
    outputs : int
        Those of a round.

    Raises
    ------
    FederationError
    """
    inputs = len(layout.sizes)
    _inside("parent", question.parent[:, 0], trees)
    _inside("leaf", question.leaf[:, 0], trees)
    _inside("asked", question.asked[:, 0], outputs if question.begin else trees)
    for name, children in (("left", question.left), ("right", question.right)):
        _inside(name, children, 2 * MAX_LEAVES)
    _inside("feature", question.feature, inputs)
    _inside("inputs", question.inputs, inputs)
    _need(bool((np.diff(question.inputs) > 0).all()), "inputs", "some that are not ascending")
    nodes = {(tree, node) for tree, node in question.asked.tolist()}
    _need(len(nodes) == len(question.asked), "asked", "a node twice")
    bins = int(layout.sizes[question.inputs].sum())
    _need(question.bins == bins, "bins", f"{question.bins}, which are {bins}")
    _need(question.round >= 0 and question.seed >= 0, "seed", f"{question.seed} in round {question.round}")
    _need(0 < question.subsample <= 1, "subsample", f"{question.subsample}")
    _need(min(question.scales) > 0, "scales", f"{question.scales}")


def _inside(name: str, places: Ints, stop: int) -> None:
    _need(
        not len(places) or (places.min() >= 0 and places.max() < stop), name, f"numbers beyond 0 to {stop - 1}"
    )


def _need(condition: bool, name: str, got: str) -> None:
    if not condition:
        raise FederationError(f"a question does not fit this client's rows: {name!r} asks for {got}")
