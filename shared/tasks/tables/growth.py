"""`LibraryGrowth`: how the trees of another library grow on some rows, in pooled training and at a client."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.tasks.tables.running_scores import RunningScores
from shared.trees.libraries.rows import Grower, TreeRows
from shared.trees.model import BLOCK, TreeEnsemble
from shared.trees.objectives import Objective

Floats = npt.NDArray[np.float64]


class LibraryGrowth:
    """Trees of another library, each on top of the scores of the model so far.

    Attributes
    ----------
    scores : ndarray [K, N]
        Of the rows, by the model that has grown last.
    """

    def __init__(self, rows: TreeRows, grower: Grower) -> None:
        self._rows, self._grower = rows, grower
        self._running = RunningScores(rows.inputs, np.arange(len(rows.targets), dtype=np.int64))
        self.scores: Floats = np.zeros((0, 0))

    def grow(self, model: TreeEnsemble, *, number: int, count: int = 1) -> TreeEnsemble:
        """The model with the trees of some more epochs.

        Parameters
        ----------
        number : int
            Of the first of these epochs in the whole training, from 0.
        """
        # A copy: what this client adds may be something else in the next round's model.
        sums = self._running.sums(model).copy()
        for step in range(count):
            longer = model.extended([self._grower.grow(model.told(sums), number=number + step)])
            for first in range(0, sums.shape[1], BLOCK):
                span = slice(first, first + BLOCK)
                longer.add_to(sums[:, span], self._rows.inputs[span], since=len(model.rounds))
            model = longer
        self.scores = model.told(sums)
        return model

    def start_sums(self) -> tuple[Floats, Floats]:
        """`TreeRows.start_sums` of the rows."""
        return self._rows.start_sums()


def start_of(objective: Objective, weight: Floats, targets: Floats) -> Floats:
    """The start of a model, [K].

    Parameters
    ----------
    weight, targets : ndarray [1], [K]
        `TreeRows.start_sums` of all training rows.

    Raises
    ------
    DataError
        All weights are 0, or the rows have one class.
    """
    return objective.start(targets / weight)
