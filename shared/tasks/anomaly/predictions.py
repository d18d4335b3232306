"""`AnomalyPredictions`: whether each row is an alarm, and how far it is from its limit; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from shared.metrics.anomaly import RATIO
from shared.tasks.predictions import Predictions


@dataclass(frozen=True)
class AnomalyPredictions(Predictions):
    """An alarm, or none, for each row.

    Attributes
    ----------
    values : ndarray [N, 2], float32
        Ratio of score to control limit, and the score that is a loss.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float32] = field(repr=False)
    noun: str = "row"
    values_are: ClassVar[str] = "scores"

    @property
    def answers(self) -> list[str]:
        """``anomaly`` where the ratio is above 1, else ``normal``."""
        return ["anomaly" if ratio > 1.0 else "normal" for ratio in self.values[:, RATIO]]

    def columns(self) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """Ratio and score."""
        return ("ratio", "score"), self.values
