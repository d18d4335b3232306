"""`TreeSettings`: how the trees are grown; the same for pooled and federated training."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from shared.runtime.errors import ConfigError

MAX_BINS = 255
MAX_ROUNDS = 100_000
MAX_DEPTH = 64
MAX_LEAVES = 65_536

_AT_LEAST_ZERO = (
    "lambda_l1", "lambda_l2", "min_child_weight", "min_gain", "category_smoothing", "category_l2",
    "min_improvement",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TreeSettings:
    """Settings of histogram gradient boosting.

    Attributes
    ----------
    rounds : int
        Boosting rounds: trees, or trees of each class.
    growth : str
        ``depthwise``: a level at a time, a message a level; ``leafwise``: the leaf with the largest gain first,
        a message a split.
    max_leaves : int or None
        Most leaves of a tree; None: what ``max_depth`` allows.
    lambda_l1, lambda_l2 : float
        Penalties of leaf values, as in XGBoost.
    min_child_weight : float
        Smallest sum of Hessians of a leaf.
    min_samples_leaf : int
        Fewest rows of a leaf.
    min_gain : float
        A split must gain more.
    max_bins : int
        Most bins of an input, beside the one for missing values.
    category_smoothing : float
        Added to the sum of Hessians in the ratio by which levels are sorted: rare ones are in the middle.
    category_l2 : float
        Added to ``lambda_l2`` when more than four levels are divided, since there are many ways to do so.
    subsample : float
        Share of the rows of a round, drawn by their keys.
    colsample : float
        Share of the inputs of a round, at least one.
    patience : int or None
        Rounds without an improvement of the validation loss after which training stops; the best round is kept.
    min_improvement : float
        Smallest improvement that counts, relative to the best loss.

    Raises
    ------
    ConfigError
        A value is out of range.
    """

    rounds: int = 100
    learning_rate: float = 0.1
    growth: str = "depthwise"
    max_depth: int = 6
    max_leaves: int | None = None
    lambda_l1: float = 0.0
    lambda_l2: float = 1.0
    min_child_weight: float = 1e-3
    min_samples_leaf: int = 20
    min_gain: float = 0.0
    max_bins: int = MAX_BINS
    category_smoothing: float = 10.0
    category_l2: float = 10.0
    subsample: float = 1.0
    colsample: float = 1.0
    seed: int = 0
    patience: int | None = None
    min_improvement: float = 1e-7

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{field.name}: expected a finite number, got {value}")
        if self.growth not in ("depthwise", "leafwise"):
            raise ConfigError(f"growth: expected depthwise or leafwise, got {self.growth!r}")
        for name in _AT_LEAST_ZERO:
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        for name in ("learning_rate", "subsample", "colsample"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected more than 0 and at most 1, got {getattr(self, name)}")
        self._between("rounds", self.rounds, 1, MAX_ROUNDS)
        self._between("max_depth", self.max_depth, 1, MAX_DEPTH)
        self._between("max_bins", self.max_bins, 2, MAX_BINS)
        self._between("min_samples_leaf", self.min_samples_leaf, 1, 2**53)
        self._between("seed", self.seed, 0, 2**63 - 1)
        if self.max_leaves is not None:
            self._between("max_leaves", self.max_leaves, 2, MAX_LEAVES)
        if self.patience is not None:
            self._between("patience", self.patience, 1, MAX_ROUNDS)
        if self.max_leaves is None and self.max_depth > 16:
            raise ConfigError(f"max_depth: above 16 set max_leaves too (got {self.max_depth})")

    def _between(self, name: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            raise ConfigError(f"{name}: expected {low} to {high}, got {value}")

    @property
    def leaves(self) -> int:
        """Most leaves of a tree."""
        by_depth = 2 ** min(self.max_depth, 16)
        return by_depth if self.max_leaves is None else self.max_leaves
