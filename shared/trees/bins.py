"""`Bins`: which of up to 255 bins each value of each input is in, and one more for missing values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import ConfigError, DataError
from shared.trees.fixed_point import Floats
from shared.trees.settings import MAX_BINS

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
CODES = MAX_BINS + 1  # of an input: its bins and the one for missing values


@dataclass(frozen=True)
class Feature:
    """An input.

    Attributes
    ----------
    levels : int
        0: a number; else how many levels a category has, whose values are 0 to ``levels - 1``.
    """

    name: str
    levels: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.levels <= MAX_BINS:
            raise ConfigError(
                f"input {self.name!r}: expected at most {MAX_BINS} levels, got {self.levels}; "
                "join rare levels to one"
            )


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the bins of each input lie in a histogram.

    Attributes
    ----------
    sizes : ndarray [F], int64
        Bins of each input, with that for missing values, which is its last.
    categorical : ndarray [F], bool
    offsets : ndarray [F + 1], int64
        Input ``f`` has the bins ``offsets[f]`` to ``offsets[f + 1] - 1``.
    """

    sizes: Ints
    categorical: NDArray[np.bool_]
    offsets: Ints = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64))

    @property
    def total(self) -> int:
        """Bins of all inputs."""
        return int(self.offsets[-1])

    def of(self, chosen: Ints) -> Layout:
        """The layout of some of the inputs."""
        return Layout(self.sizes[chosen], self.categorical[chosen])


@dataclass(frozen=True, eq=False)
class Bins:
    """The bins of all inputs.

    Attributes
    ----------
    edges : tuple of ndarray [bins - 1], float64
        A number is in the first bin whose edge is not below it, or in the last one. A category has no edges:
        its bins are its levels.
    """

    features: tuple[Feature, ...]
    edges: tuple[Floats, ...]

    @property
    def layout(self) -> Layout:
        """Where they lie in a histogram."""
        sizes = [
            (feature.levels or len(edges) + 1) + 1
            for feature, edges in zip(self.features, self.edges, strict=True)
        ]
        categorical = [feature.levels > 0 for feature in self.features]
        return Layout(np.array(sizes, dtype=np.int64), np.array(categorical, dtype=np.bool_))

    def codes(self, inputs: NDArray[Any]) -> Bytes:
        """The bin of each value.

        Parameters
        ----------
        inputs : ndarray [N, F], float
            As `check_inputs` accepts them.

        Returns
        -------
        ndarray [F, N], uint8
        """
        codes = np.empty((len(self.features), len(inputs)), dtype=np.uint8)
        for place, (feature, edges) in enumerate(zip(self.features, self.edges, strict=True)):
            column = inputs[:, place].astype(np.float64)
            missing = np.isnan(column)
            if feature.levels:
                codes[place] = np.where(missing, feature.levels, column)
            else:
                codes[place] = np.searchsorted(edges, column, side="left")
                codes[place, missing] = len(edges) + 1
        return codes


def check_inputs(inputs: NDArray[Any], features: Sequence[Feature]) -> None:
    """Make sure that the inputs can be binned.

    Raises
    ------
    DataError
        Another number of columns, infinite values, or values of a category that are none of its levels.
    """
    if inputs.ndim != 2 or inputs.shape[1] != len(features):
        raise DataError(f"inputs: expected {len(features)} columns, got an array of shape {inputs.shape}")
    if inputs.dtype.kind not in "fiub":
        raise DataError(f"inputs: expected numbers, got an array of {inputs.dtype}")
    for place, feature in enumerate(features):
        column = inputs[:, place]
        if np.isinf(column).any():
            raise DataError(
                f"input {feature.name!r}: {int(np.isinf(column).sum()):,} infinite values; "
                "make them missing (NaN)"
            )
        if feature.levels:
            known = column[~np.isnan(column)]
            strange = known[(known < 0) | (known >= feature.levels) | (known != np.floor(known))]
            if len(strange):
                raise DataError(
                    f"input {feature.name!r}: expected the levels 0 to {feature.levels - 1}, "
                    f"got {strange[0]:g} ({len(strange):,} such rows)"
                )
