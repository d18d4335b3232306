"""`NodeLists`: a tree that is put together node by node."""

from __future__ import annotations

from shared.trees.model import KINDS, Tree


class NodeLists:
    """Lists with an entry for each node, as `Tree` has them."""

    def __init__(self) -> None:
        self.feature: list[int] = []
        self.threshold: list[float] = []
        self.levels: list[tuple[int, ...]] = []
        self.missing_left: list[bool] = []
        self.left: list[int] = []
        self.right: list[int] = []
        self.value: list[float] = []
        self.gain: list[float] = []
        self.rows: list[int] = []

    def add(self) -> int:
        """The number of a new leaf."""
        for name, nothing in (("feature", -1), ("left", -1), ("right", -1), ("rows", 0)):
            getattr(self, name).append(nothing)
        for name in ("threshold", "value", "gain"):
            getattr(self, name).append(0.0)
        self.levels.append(())
        self.missing_left.append(False)
        return len(self.feature) - 1

    def tree(self) -> Tree:
        """The tree."""
        return Tree.of({name: getattr(self, name) for name in KINDS}, self.levels)

    @classmethod
    def one_leaf(cls, value: float) -> Tree:
        """A tree that adds the same to all rows."""
        nodes = cls()
        nodes.value[nodes.add()] = value
        return nodes.tree()
