"""`RunningScores`: what trees say of some rows, to which each new tree is added once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.trees.model import BLOCK, TreeEnsemble

Floats = npt.NDArray[np.float64]


class RunningScores:
    """Raw scores of rows by a model that grows.

    Parameters
    ----------
    inputs : ndarray [N, columns], float64
    rows : ndarray [n], int64
        Which of them.
    """

    def __init__(self, inputs: Floats, rows: npt.NDArray[np.int64]) -> None:
        self._inputs, self._rows = inputs, rows
        self._model: TreeEnsemble | None = None
        self._sums: Floats = np.zeros((0, 0))

    def of(self, model: TreeEnsemble) -> Floats:
        """The scores [K, n] by a model; quick where it is the one before with more trees."""
        return model.told(self.sums(model))

    def sums(self, model: TreeEnsemble) -> Floats:
        """The sums over its trees [K, n], from which the scores follow; not to be written to."""
        before = self._model
        if before is None or not _continues(model, before):
            self._sums, since = model.before(len(self._rows)), 0
        else:
            since = len(before.rounds)
        for first in range(0, len(self._rows), BLOCK):
            span = slice(first, first + BLOCK)
            model.add_to(self._sums[:, span], self._inputs[self._rows[span]], since=since)
        self._model = model
        return self._sums


def _continues(model: TreeEnsemble, before: TreeEnsemble) -> bool:
    """Whether the first trees of a model are those of another."""
    if len(before.rounds) > len(model.rounds) or not np.array_equal(model.start, before.start):
        return False
    pairs = zip(before.rounds, model.rounds, strict=False)
    return all(one is other for old, new in pairs for one, other in zip(old, new, strict=True))
