"""`Predictions`: a model's predictions on the test set, read from the file that the run wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported lazily: most requests need neither
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

PREDICTIONS = "test_predictions.npz"  # as in `shared.training.evaluation`, which imports torch


class UnreadablePredictions(Exception):
    """The file is not one that a run wrote."""


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for the test rows.

    Attributes
    ----------
    probabilities : ndarray [N, classes], float32
    labels : ndarray [N], int64
    threshold : float
        Two classes: class 1 is predicted where its probability is above this.
    """

    probabilities: Floats
    labels: Ints
    threshold: float

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return int(self.probabilities.shape[1])


def read(path: Path) -> Predictions:
    """Read the predictions of a run.

    Raises
    ------
    FileNotFoundError
    UnreadablePredictions
    """
    import zipfile

    import numpy as np

    try:
        # Opened here: `np.load` would leave its handle open if the file is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = Predictions(
                probabilities=arrays["probabilities"].astype(np.float32),
                labels=arrays["labels"].astype(np.int64),
                threshold=float(arrays["threshold"]),
            )
    except FileNotFoundError:
        raise
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UnreadablePredictions(type(error).__name__) from None
    probabilities, labels = found.probabilities, found.labels
    fits = probabilities.ndim == 2 and len(probabilities) == len(labels) > 0 and probabilities.shape[1] >= 2
    if not fits or not 0 <= labels.min() <= labels.max() < probabilities.shape[1]:
        raise UnreadablePredictions(f"shapes {probabilities.shape} and {labels.shape} do not fit")
    if not np.isfinite(probabilities).all():
        raise UnreadablePredictions("some probabilities are not finite")
    return found
