"""`TreeRows`: what another library grows trees on; and from the numbers that it compares to ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import DataError
from shared.trees.bins import Feature, check_inputs
from shared.trees.fixed_point import Floats
from shared.trees.model import Tree
from shared.trees.objectives import Objective

FURTHEST = 1e300  # thresholds beyond it are infinite


@dataclass(frozen=True, eq=False)
class TreeRows:
    """The training rows of one client, or of all.

    Attributes
    ----------
    inputs : ndarray [N, F], float64
        NaN: missing. Categories as codes of their levels.
    targets : ndarray [N]
        Numbers, or classes from 0.
    weights : ndarray [N], float64, or None
        Of each row, such as that of its class; None: 1.

    Raises
    ------
    DataError
        The rows cannot be trained on.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    features: tuple[Feature, ...]
    objective: Objective
    weights: Floats | None = None

    def __post_init__(self) -> None:
        check_inputs(self.inputs, self.features)
        self.objective.check(self.targets)
        if not len(self.targets):
            raise DataError("there are no training rows")

    @property
    def categorical(self) -> list[int]:
        """The places of the categories."""
        return [place for place, feature in enumerate(self.features) if feature.levels]

    def start_sums(self) -> tuple[Floats, Floats]:
        """Sums of weights [1], and of weighted targets [K], from which the start follows."""
        weights = np.ones(len(self.targets)) if self.weights is None else self.weights
        columns = self.objective.columns(self.targets.astype(np.float64))
        return weights.sum(keepdims=True), columns @ weights


class Grower(Protocol):
    """Grows trees of one library on some rows."""

    def grow(self, scores: Floats, *, number: int) -> tuple[Tree, ...]:
        """The trees of a round, one of each raw score.

        Parameters
        ----------
        scores : ndarray [K, N], float64
            Of the model so far, which the trees improve; those of a forest do without.
        number : int
            Of the round, from 0: what is drawn at random depends on it.
        """
        ...


def in_32_bits(inputs: NDArray[Any], features: tuple[Feature, ...], *, library: str) -> NDArray[np.float32]:
    """Inputs as a library takes them.

    Raises
    ------
    DataError
        A number is too large.
    """
    with np.errstate(over="ignore"):
        found = inputs.astype(np.float32)
    if (large := np.isinf(found)).any():
        name = features[int(np.flatnonzero(large.any(axis=0))[0])].name
        raise DataError(f"input {name!r} has numbers beyond 3.4e38, which {library} cannot take")
    return found


def up_to(limits: NDArray[np.float32]) -> Floats:
    """The largest numbers that are at most a limit when they are rounded to 32 bits.

    So a library that rounds its inputs and a model that does not divide the same rows.

    Returns
    -------
    ndarray, float64
        Each rounds to its limit.
    """
    limits = np.clip(limits, -np.finfo(np.float32).max, np.nextafter(np.finfo(np.float32).max, 0))
    middle = (limits.astype(np.float64) + np.nextafter(limits, np.float32(np.inf)).astype(np.float64)) / 2
    # A number halfway is rounded to the even one of both.
    return np.where(middle.astype(np.float32) == limits, middle, np.nextafter(middle, -np.inf))
