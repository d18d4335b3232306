"""`GrowingTree`: a tree of a round at the server, from its root's histogram to its leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shared.trees.bins import Layout
from shared.trees.fixed_point import Floats
from shared.trees.settings import TreeSettings
from shared.trees.splits import Split, best_splits, shrunk


@dataclass(eq=False)
class Node:
    """A node that grows.

    Attributes
    ----------
    sums : ndarray [3], float64
        Gradients, Hessians, rows.
    histogram : ndarray [bins, 3], float64, or None
        While it may still be divided.
    split : Split or None
        The best one; whether it is taken is said by ``left``.
    """

    depth: int
    sums: Floats
    histogram: Floats | None = None
    split: Split | None = None
    left: int = -1
    right: int = -1
    others: tuple[int, int] | None = field(default=None, repr=False)  # parent and sibling

    @property
    def is_leaf(self) -> bool:
        """Whether it has no children."""
        return self.left < 0


class GrowingTree:
    """Nodes of a tree, by their numbers.

    Parameters
    ----------
    layout : Layout
        Of the histograms.
    """

    def __init__(self, layout: Layout, settings: TreeSettings) -> None:
        self._layout, self._settings = layout, settings
        self.nodes: list[Node] = []

    @property
    def leaves(self) -> int:
        """How many leaves it has so far."""
        return (len(self.nodes) + 1) // 2

    def plant(self, histogram: Floats) -> None:
        """Begin with the root."""
        sums = histogram[: self._layout.offsets[1]].sum(axis=0)
        self.nodes = [Node(depth=0, sums=sums, histogram=histogram)]
        self._find([self.nodes[0]])

    def divide(self) -> list[int]:
        """Divide the next nodes: those of a level, or the one with the largest gain; return their numbers."""
        ready = [number for number, node in enumerate(self.nodes) if node.is_leaf and node.split is not None]
        ready.sort(key=lambda number: (-_gain(self.nodes[number]), number))
        room = self._settings.leaves - self.leaves
        chosen = sorted(ready[: min(room, 1 if self._settings.growth == "leafwise" else room)])
        for number in chosen:
            node = self.nodes[number]
            assert node.split is not None
            node.left, node.right = len(self.nodes), len(self.nodes) + 1
            for sums, sibling in ((node.split.left, node.right), (node.split.right, node.left)):
                self.nodes.append(Node(depth=node.depth + 1, sums=sums, others=(number, sibling)))
        return chosen

    def asks(self, divided: list[int]) -> list[int]:
        """Of the children of these nodes, those whose histograms are needed: of two the one with fewer rows."""
        if self.leaves >= self._settings.leaves:
            return []
        asked = []
        for number in divided:
            pair = (self.nodes[number].left, self.nodes[number].right)
            if any(self._divisible(self.nodes[child]) for child in pair):
                asked.append(min(pair, key=lambda child: (self.nodes[child].sums[2], child)))
        return asked

    def take(self, histograms: dict[int, Floats]) -> None:
        """Take the histograms that were asked for; those of their siblings are what is left of the parents'."""
        fresh = []
        for number, histogram in histograms.items():
            node = self.nodes[number]
            assert node.others is not None
            parent, sibling = self.nodes[node.others[0]], self.nodes[node.others[1]]
            assert parent.histogram is not None
            node.histogram, sibling.histogram = histogram, parent.histogram - histogram
            fresh += [node, sibling]
        self._find([node for node in fresh if self._divisible(node)])
        for node in self.nodes:
            if not node.is_leaf or node.split is None:
                node.histogram = None

    def value(self, node: Node) -> float:
        """What a leaf adds to the raw score."""
        pull = float(shrunk(node.sums[:1], self._settings.lambda_l1)[0])
        penalised = float(node.sums[1]) + self._settings.lambda_l2
        return -self._settings.learning_rate * pull / penalised if penalised > 0 else 0.0

    def _divisible(self, node: Node) -> bool:
        settings = self._settings
        return bool(
            node.depth < settings.max_depth
            and node.sums[2] >= 2 * settings.min_samples_leaf
            and node.sums[1] >= 2 * settings.min_child_weight
        )

    def _find(self, nodes: list[Node]) -> None:
        histograms = [node.histogram for node in nodes]
        if histograms:
            splits = best_splits(
                np.stack([one for one in histograms if one is not None]), self._layout, self._settings
            )
            for node, split in zip(nodes, splits, strict=True):
                node.split = split


def _gain(node: Node) -> float:
    return node.split.gain if node.split is not None else 0.0
