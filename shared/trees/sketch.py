"""`Sketch`: quantiles of the rows of all clients from sums of counts, the same however the rows are divided.

The bits of a float64, with the sign turned around, are a whole number of the same order. So the values of an
input are the leaves of a tree in which each cell has 256 children, by the next eight bits, and the clients
count the rows in the children of the cells that the server asks for: 8 questions at most. Counts are sums,
hence the answer is that of the pooled rows, and nobody tells an extreme value. Cells are divided

- while an input has no more of them than bins: then each value has a cell of its own, and a bin;
- else where a cell holds more than half the rows of a bin.

A bin ends halfway between its last cell and the next that is not empty. What clients tell with it: how many
of their rows have which value, where an input has few values; else counts of coarser cells.

The idea is that of radix selection; sketches that merge with an error (Greenwald and Khanna 2001; XGBoost's,
Chen and Guestrin 2016) depend on the order of merging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.trees.bins import Bins, Feature, Ints
from shared.trees.fixed_point import Floats

Keys = NDArray[np.uint64]

BITS = 64
STEP = 8  # bits that one question resolves
CHILDREN = 2**STEP
_SIGN = np.uint64(1 << 63)
_HIGHEST = np.finfo(np.float64).max


def keys_of(values: Floats) -> Keys:
    """Whole numbers in the order of the values, of which -0 equals 0."""
    bits = (values + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def values_of(keys: Keys) -> Floats:
    """The values of the keys, those beyond the finite ones at their end."""
    low, high = keys_of(np.array([-_HIGHEST, _HIGHEST]))
    keys = np.clip(keys, low, high)
    return np.where(keys & _SIGN, keys & ~_SIGN, ~keys).view(np.float64)


def count_cells(inputs: NDArray[Any], feature: Ints, prefix: Keys, resolved: int) -> Ints:
    """Count the rows in the children of cells.

    Parameters
    ----------
    inputs : ndarray [N, F], float
        Missing values are not counted.
    feature : ndarray [C], int64
        The input of each cell, ascending.
    prefix : ndarray [C], uint64
        Its key: the first ``resolved`` bits of the keys in it; ascending for an input.

    Returns
    -------
    ndarray [C, 256], int64
    """
    counts = np.zeros((len(feature), CHILDREN), dtype=np.int64)
    shift = np.uint64(BITS - STEP - resolved)
    for place in np.unique(feature):
        cells = np.flatnonzero(feature == place)
        column = inputs[:, place].astype(np.float64)
        keys = keys_of(np.sort(column[~np.isnan(column)])) >> shift
        first = prefix[cells] << np.uint64(STEP)
        starts = np.searchsorted(keys, first)
        stops = np.searchsorted(keys, first + np.uint64(CHILDREN - 1), side="right")
        rows = stops - starts
        # The places in `keys` of the rows of all cells, one cell after the other.
        within = np.arange(rows.sum()) + np.repeat(starts - np.cumsum(rows) + rows, rows)
        children = (keys[within] & np.uint64(CHILDREN - 1)).astype(np.int64)
        own = np.repeat(np.arange(len(cells)) * CHILDREN, rows) + children
        counts[cells] = np.bincount(own, minlength=len(cells) * CHILDREN).reshape(-1, CHILDREN)
    return counts


@dataclass
class _Cells:
    """Cells of an input that are not empty: first and last key, and rows."""

    first: Keys
    last: Keys
    rows: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def edges(self, max_bins: int) -> Floats:
        """The inner edges of at most so many bins with about the same number of rows."""
        order = np.argsort(self.first)
        low, high = values_of(self.first[order]), values_of(self.last[order])
        reached = np.cumsum(self.rows[order])
        if len(reached) <= max_bins:
            ends = np.arange(len(reached) - 1)
        else:
            wanted = -(-np.arange(1, max_bins) * reached[-1] // max_bins)
            ends = np.unique(np.searchsorted(reached, wanted))
            ends = ends[ends < len(reached) - 1]
        middle = high[ends] / 2 + low[ends + 1] / 2
        return np.where(middle < low[ends + 1], np.maximum(middle, high[ends]), high[ends])


class Sketch:
    """The server's half: which cells to ask for, and the bins in the end.

    Parameters
    ----------
    features : sequence of Feature
        Categories need no question: their bins are their levels.
    """

    def __init__(self, features: Sequence[Feature], *, max_bins: int) -> None:
        self._features = tuple(features)
        self._max_bins = max_bins
        none = np.empty(0, dtype=np.uint64)
        self._done = [_Cells(none, none, np.empty(0, dtype=np.int64)) for _ in features]
        self.resolved = 0
        self.feature = np.array([place for place, one in enumerate(features) if not one.levels], dtype=np.int64)
        self.prefix = np.zeros(len(self.feature), dtype=np.uint64)

    @property
    def asks(self) -> bool:
        """Whether there is another question: about the cells ``prefix`` of the inputs ``feature``."""
        return len(self.feature) > 0

    def take(self, counts: Ints) -> None:
        """Take the sum of what `count_cells` gave the clients."""
        self.resolved += STEP
        cell, child = np.nonzero(counts)
        feature, rows = self.feature[cell], counts[cell, child]
        prefix = (self.prefix[cell] << np.uint64(STEP)) | child.astype(np.uint64)
        known = len(self._features)
        cells = np.bincount(feature, minlength=known) + [len(done) for done in self._done]
        total = np.array([done.rows.sum() for done in self._done], dtype=np.int64)
        np.add.at(total, feature, rows)
        few, share = cells <= self._max_bins, total // (2 * self._max_bins)
        again = (few[feature] | (rows > share[feature])) & (self.resolved < BITS)
        ends = np.searchsorted(feature, np.arange(known + 1))
        for place in np.unique(feature).tolist():
            own = slice(ends[place], ends[place + 1])
            self._keep(place, prefix[own][~again[own]], rows[own][~again[own]])
        self.feature, self.prefix = feature[again], prefix[again]

    def _keep(self, place: int, prefix: Keys, rows: Ints) -> None:
        rest = BITS - self.resolved
        first = prefix << np.uint64(rest)
        last = first | np.uint64((1 << rest) - 1)
        done = self._done[place]
        self._done[place] = _Cells(
            np.concatenate([done.first, first]),
            np.concatenate([done.last, last]),
            np.concatenate([done.rows, rows]),
        )

    def bins(self) -> Bins:
        """The bins, once there is no other question; an input without any value has one."""
        assert not self.asks
        empty = np.empty(0, dtype=np.float64)
        edges = [cells.edges(self._max_bins) if len(cells) > 1 else empty for cells in self._done]
        return Bins(self._features, tuple(edges))
