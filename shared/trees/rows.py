"""`NodeRows`: which rows are in each node of a tree that grows; and which rows a round draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import FederationError
from shared.trees.bins import Ints


class NodeRows:
    """The rows of each node, one after the other in one array (as LightGBM keeps them).

    Parameters
    ----------
    rows : ndarray [N], int64
        Those of the root, node 0.
    """

    def __init__(self, rows: Ints) -> None:
        self._order = rows.copy()
        self._spans = {0: (0, len(rows))}

    def of(self, node: int) -> Ints:
        """The rows of a node, ascending.

        Raises
        ------
        FederationError
            It is not a leaf so far.
        """
        if node not in self._spans:
            raise FederationError(f"node {node} is no leaf of the tree that grows: a question was lost")
        start, stop = self._spans[node]
        return self._order[start:stop]

    def divide(self, node: int, goes_left: NDArray[np.bool_], *, left: int, right: int) -> None:
        """Give each row of a node to one of two new ones.

        Raises
        ------
        FederationError
            The new ones are there already.
        """
        if left == right or left in self._spans or right in self._spans:
            raise FederationError(f"nodes {left} and {right} are not new: a question was asked twice")
        start, stop = self._spans.pop(node)
        rows = self._order[start:stop]
        # Five times as fast as indexing by truth values.
        first, others = rows.take(np.flatnonzero(goes_left)), rows.take(np.flatnonzero(~goes_left))
        middle = start + len(first)
        self._order[start:middle], self._order[middle:stop] = first, others
        self._spans[left], self._spans[right] = (start, middle), (middle, stop)


def drawn(keys: NDArray[np.uint64], *, share: float, seed: int, round_number: int) -> NDArray[np.bool_]:
    """Draw rows by a hash of their keys, so that the drawn are the same at whatever client they are.

    The hash is the finalizer of SplitMix64 (Steele, Lea and Flood 2014).

    Parameters
    ----------
    keys : ndarray [N], uint64
        Of each row, of its own among all clients.
    """
    if share >= 1:
        return np.ones(len(keys), dtype=np.bool_)
    start = np.array([seed], dtype=np.uint64) * np.uint64(0xD1342543DE82EF95) + np.uint64(round_number)
    mixed = _mix(keys ^ _mix(start))
    return mixed < np.uint64(min(int(share * 2.0**64), 2**64 - 1))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
