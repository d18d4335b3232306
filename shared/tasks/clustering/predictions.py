"""`ClusterPredictions`, `MixturePredictions`: the cluster of each row, and why; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from shared.tasks.predictions import Predictions


@dataclass(frozen=True)
class ClusterPredictions(Predictions):
    """A cluster for each row.

    Attributes
    ----------
    distances : ndarray [N, k], float32
        Squared, to each centroid.
    """

    names: tuple[str, ...]
    distances: npt.NDArray[np.float32] = field(repr=False)
    noun: str = "row"
    values_are: ClassVar[str] = "squared_distances"

    @property
    def answers(self) -> list[int]:
        """The numbers of the clusters, from 0."""
        return [int(place) for place in self.distances.argmin(axis=1)]

    def columns(self) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """The squared distance to each centroid."""
        return tuple(f"cluster {place}" for place in range(self.distances.shape[1])), self.distances


@dataclass(frozen=True)
class MixturePredictions(Predictions):
    """A component for each row.

    Attributes
    ----------
    probabilities : ndarray [N, k], float32
        That the row is of each component.
    """

    names: tuple[str, ...]
    probabilities: npt.NDArray[np.float32] = field(repr=False)
    noun: str = "row"

    @property
    def answers(self) -> list[int]:
        """The numbers of the components, from 0."""
        return [int(place) for place in self.probabilities.argmax(axis=1)]

    @property
    def certainties(self) -> list[float]:
        """The probability of each answer."""
        return [float(value) for value in self.probabilities.max(axis=1)]

    def columns(self) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """The probability of each component."""
        return tuple(f"cluster {place}" for place in range(self.probabilities.shape[1])), self.probabilities
