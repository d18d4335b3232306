"""`Outputs`: what a model predicts for the rows of one stage, beside the targets; in memory and as ``.npz``."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.runtime.files import replacing

OUTPUTS_FILE = "test_predictions.npz"  # in a run's folder
# The arrays of the file: the names that runs have been stored with since the first version.
_PREDICTIONS, _TARGETS, _THRESHOLD, _GROUPS = "probabilities", "labels", "threshold", "groups"
_NAMES, _VALUES = "logged_names", "logged_values"


class UnreadableOutputs(Exception):
    """The file is not one that a run wrote."""


@dataclass(frozen=True)
class Outputs:
    """A model's predictions and what is true.

    Attributes
    ----------
    predictions : ndarray [N, ...], float
        Classification: probabilities [N, classes], whose rows sum to 1.
    targets : ndarray [N, ...]
        Classification: the true class [N], int64, from 0.
    threshold : float
        Two classes only: class 1 is predicted where its probability is above this, in 32 bits.
    groups : ndarray [N], int64, optional
        Rows that belong together, such as those of one patient.
    logged : mapping of str to float
        Metrics of all rows together that the module computed itself.
    """

    predictions: NDArray[Any]
    targets: NDArray[Any]
    threshold: float = 0.5
    groups: NDArray[np.int64] | None = None
    logged: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.predictions) != len(self.targets):
            raise ValueError(f"{len(self.predictions)} predictions for {len(self.targets)} targets")
        if self.groups is not None and len(self.groups) != len(self.targets):
            raise ValueError(f"{len(self.groups)} groups for {len(self.targets)} targets")

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.targets)

    @property
    def num_classes(self) -> int:
        """How many classes the probabilities are of."""
        return int(self.predictions.shape[1])

    @property
    def is_finite(self) -> bool:
        """Whether no prediction is NaN or infinite, and no logged metric infinite."""
        return bool(np.isfinite(self.predictions).all()) and not any(map(math.isinf, self.logged.values()))

    def at(self, threshold: float) -> Outputs:
        """The same outputs with another threshold."""
        return replace(self, threshold=threshold)

    def of_rows(self, rows: NDArray[np.int64]) -> Outputs:
        """Those of some rows; without what was logged of all rows together.

        Parameters
        ----------
        rows : ndarray [n], int64
            Their places.
        """
        groups = None if self.groups is None else self.groups[rows]
        return replace(
            self, predictions=self.predictions[rows], targets=self.targets[rows], groups=groups, logged={}
        )

    def save(self, path: Path) -> None:
        """Keep them as ``.npz``, all of it or nothing."""
        groups = {} if self.groups is None else {_GROUPS: self.groups}
        arrays: dict[str, Any] = {
            _PREDICTIONS: self.predictions,
            _TARGETS: self.targets,
            _THRESHOLD: self.threshold,
            **groups,
        }
        if self.logged:
            arrays[_NAMES] = np.array(list(self.logged), dtype=np.str_)
            arrays[_VALUES] = np.array(list(self.logged.values()), dtype=np.float64)
        with replacing(path) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> Outputs:
        """Read what `save` wrote, or a run of an earlier version.

        Raises
        ------
        FileNotFoundError
        UnreadableOutputs
            The file is damaged, or its arrays do not fit together.
        """
        try:
            # Opened here: of a damaged file, `np.load` would leave its own handle open.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                found = cls(
                    predictions=arrays[_PREDICTIONS],
                    targets=arrays[_TARGETS],
                    threshold=float(arrays[_THRESHOLD]),
                    groups=arrays[_GROUPS].astype(np.int64) if _GROUPS in arrays else None,
                    logged=dict(zip(arrays[_NAMES].tolist(), arrays[_VALUES].tolist(), strict=True))
                    if _NAMES in arrays
                    else {},
                )
        except FileNotFoundError:
            raise
        except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise UnreadableOutputs(type(error).__name__) from None
        kinds = (found.predictions.dtype.kind, found.targets.dtype.kind)
        if kinds[0] != "f" or kinds[1] not in "fiub" or not len(found):
            raise UnreadableOutputs(
                f"{len(found)} rows of types {found.predictions.dtype} and {found.targets.dtype}"
            )
        return found

    def of_classes(self) -> Outputs:
        """The same, as those of a classification: every target is the number of a class.

        Raises
        ------
        UnreadableOutputs
        """
        predictions, targets = self.predictions, self.targets
        several = predictions.ndim == 2 and targets.ndim == 1 and targets.dtype.kind != "f"
        if not several or not 0 <= targets.min() <= targets.max() < predictions.shape[1] >= 2:
            raise UnreadableOutputs(
                f"they are not of classes, with shapes {predictions.shape} and {targets.shape}"
            )
        return replace(self, targets=targets.astype(np.int64))
