"""`best_splits`: the split of each node that gains most, from its histogram.

A split of a node with sums G of gradients and H of Hessians gains ``s(left) + s(right) - s(node)``, half of it,
with ``s = T(G)**2 / (H + lambda_l2)`` and T the soft threshold at ``lambda_l1`` (Chen and Guestrin 2016). Rows
with a missing value are tried on both sides, and alone. The levels of a category are sorted by ``G / (H +
smoothing)`` and divided at one place of this order (Fisher 1958; as LightGBM does); a missing value is one more
level.

Gains that differ by less than `TIE` of what they are computed from count as equal: the lowest input, then the
lowest bin wins, so that a processor that rounds otherwise chooses the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.trees.bins import CODES, Ints, Layout
from shared.trees.fixed_point import Floats
from shared.trees.settings import TreeSettings

TIE = 1e-10
FEW_LEVELS = (
    4  # that are divided without further penalty, as there are few ways to do so (LightGBM has the same)
)
_VALUES = 2_000_000  # of a histogram that are looked at together
_BOTH = 2  # places of missing values: right, left


@dataclass(frozen=True, eq=False)
class Split:
    """How a node is divided.

    Attributes
    ----------
    feature : int
        Its place in the layout.
    bin : int
        The last bin on the left; of a category -1.
    table : ndarray [256], bool
        Which bins go left.
    left, right : ndarray [3], float64
        Sums of gradients, Hessians and rows of the children.
    """

    gain: float
    feature: int
    bin: int
    table: NDArray[np.bool_]
    left: Floats
    right: Floats


def shrunk(gradients: Floats, lambda_l1: float) -> Floats:
    """Gradients towards 0 by ``lambda_l1``."""
    if not lambda_l1:
        return gradients
    pulled: Floats = np.sign(gradients) * np.maximum(np.abs(gradients) - lambda_l1, 0.0)
    return pulled


def best_splits(histograms: Floats, layout: Layout, settings: TreeSettings) -> list[Split | None]:
    """The best split of each node, None where none is allowed.

    Parameters
    ----------
    histograms : ndarray [N, bins, 3], float64
        Sums of gradients, Hessians and rows.
    layout : Layout
        Where the inputs lie in them.
    """
    widest = int(layout.sizes.max(initial=1))
    together = max(1, _VALUES // (widest * len(layout.sizes) or 1))
    found: list[Split | None] = []
    for start in range(0, len(histograms), together):
        found += _Search(histograms[start : start + together], layout, settings).best()
    return found


class _Search:
    """Gains [N, F, B, 2] of all splits of some nodes; the last axis is where missing values go."""

    def __init__(self, histograms: Floats, layout: Layout, settings: TreeSettings) -> None:
        self._histograms, self._layout, self._settings = histograms, layout, settings
        # Of the first input, as the rows of each input are all rows of the node.
        self._total = histograms[:, : layout.offsets[1]].sum(axis=1).T  # [3, N]

    def best(self) -> list[Split | None]:
        nodes, widest = len(self._histograms), int(self._layout.sizes.max())
        gains = np.full((nodes, len(self._layout.sizes), widest, _BOTH), -np.inf)
        numeric = np.flatnonzero(~self._layout.categorical)
        categories = np.flatnonzero(self._layout.categorical)
        if len(numeric):
            self._numeric_gains(gains, numeric)
        if len(categories):
            order, sums = self._ordered(categories)
            width = sums.shape[-1]
            few = self._layout.sizes[categories] - 1 <= FEW_LEVELS
            more_l2 = np.where(few, 0.0, self._settings.category_l2)[:, None]
            gains[..., 0][:, categories, :width] = self._gains(np.cumsum(sums, axis=-1), more_l2)
        flat = gains.reshape(nodes, -1)
        highest = flat.max(axis=1)
        tie = TIE * (np.maximum(highest, 0.0) + self._score(self._total, 0.0))
        chosen = np.argmax(flat >= (highest - tie)[:, None], axis=1)
        found: list[Split | None] = []
        for node, place in enumerate(chosen.tolist()):
            gain = float(flat[node, place])
            if not gain > max(self._settings.min_gain, float(tie[node])):
                found.append(None)
                continue
            feature, end, side = (int(part) for part in np.unravel_index(place, gains.shape[1:]))
            if self._layout.categorical[feature]:
                levels = order[node, int(np.searchsorted(categories, feature))]
                found.append(self._split(node, feature, -1, gain, levels[: end + 1]))
            else:
                low = np.arange(min(end + 1, int(self._layout.sizes[feature]) - 1))
                missing = [self._layout.sizes[feature] - 1] if side else []
                found.append(self._split(node, feature, end, gain, np.append(low, missing).astype(np.int64)))
        return found

    def _padded(self, features: Ints, sizes: Ints) -> Floats:
        """[3, N, F, B]: the bins of the inputs, with zeros after the last."""
        places = self._layout.offsets[features][:, None] + np.arange(sizes.max())
        beyond = np.arange(sizes.max()) >= sizes[:, None]
        padded = np.moveaxis(self._histograms[:, np.where(beyond, 0, places)], -1, 0)
        return np.where(beyond, 0.0, padded)

    def _numeric_gains(self, gains: Floats, features: Ints) -> None:
        sizes = self._layout.sizes[features]
        left = np.cumsum(self._padded(features, sizes - 1), axis=-1)
        width = left.shape[-1]
        missing = np.moveaxis(self._histograms[:, self._layout.offsets[features + 1] - 1], -1, 0)[..., None]
        gains[..., 0][:, features, :width] = self._gains(left, 0.0)
        if missing[2].any():
            left_too = self._gains(left + missing, 0.0)
            # Without a missing value both are one split.
            gains[..., 1][:, features, :width] = np.where(missing[2] > 0, left_too, -np.inf)

    def _ordered(self, features: Ints) -> tuple[Ints, Floats]:
        """Levels [N, F, B] in the order of their ratio, absent ones last, and their sums [3, N, F, B]."""
        sums = self._padded(features, self._layout.sizes[features])
        weight = sums[1] + self._settings.category_smoothing
        ratio = np.divide(sums[0], weight, out=np.zeros_like(weight), where=weight > 0)
        order = np.argsort(np.where(sums[2] > 0, ratio, np.inf), axis=-1, kind="stable")
        return order, np.take_along_axis(sums, order[None], axis=-1)

    def _score(self, sums: Floats, more_l2: float | Floats) -> Floats:
        penalised = sums[1] + (self._settings.lambda_l2 + more_l2)
        pull = shrunk(sums[0], self._settings.lambda_l1)
        score: Floats = np.zeros_like(penalised)
        np.divide(pull * pull, penalised, out=score, where=penalised > 0)
        return score

    def _gains(self, left: Floats, more_l2: float | Floats) -> Floats:
        settings = self._settings
        total = self._total[:, :, None, None]
        right = total - left
        allowed = np.minimum(left[1], right[1]) >= settings.min_child_weight
        allowed &= np.minimum(left[2], right[2]) >= settings.min_samples_leaf
        gains = 0.5 * (self._score(left, more_l2) + self._score(right, more_l2) - self._score(total, 0.0))
        return np.asarray(np.where(allowed, gains, -np.inf))

    def _split(self, node: int, feature: int, end: int, gain: float, lefts: Ints) -> Split:
        start, stop = self._layout.offsets[feature], self._layout.offsets[feature + 1]
        own = self._histograms[node, start:stop]
        goes_left = np.zeros(CODES, dtype=np.bool_)
        goes_left[lefts] = True
        left = own[goes_left[: len(own)]].sum(axis=0)
        right = self._total[:, node] - left
        # What has no row here goes with the most rows: levels, and missing values.
        known = len(own) if self._layout.categorical[feature] else 0
        absent = np.flatnonzero(own[:, 2] == 0)
        absent = absent[(absent < known) | (absent == len(own) - 1)]
        goes_left[absent] = left[2] >= right[2]
        return Split(gain, feature, end, goes_left, left, right)
