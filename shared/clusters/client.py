"""`ClientRows`: a client's half of a clustering; it answers questions about its rows by sums."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from shared.clusters.distances import Floats, squared_distances
from shared.clusters.messages import NOBODY, Arrays, Question
from shared.clusters.races import Keys, races, row_keys
from shared.runtime.errors import ClustersError
from shared.sums.exact import exponents_of, whole_sums


class ClientRows:
    """The training rows of a client, or of a pooled training.

    Parameters
    ----------
    rows : ndarray [n, d], float64
        Finite.
    """

    def __init__(self, rows: Floats) -> None:
        self.rows = rows
        self._drawn: Floats = rows[:0]  # centroids, and the squared distance of each row to the nearest
        self._least: Floats = np.ones(len(rows))

    def answer(self, question: Question) -> Arrays:
        """Answer a question, alike whenever it is asked.

        Raises
        ------
        ClustersError
            It is of other columns.
        """
        if question.centroids.shape[1] != self.rows.shape[1]:
            raise ClustersError(
                f"the server asks about {question.centroids.shape[1]} columns, and the rows have "
                f"{self.rows.shape[1]}"
            )
        if question.kind == "scale":
            return {"rows": np.array([len(self.rows)]), "exponents": exponents_of(self.rows)}
        if question.kind == "sums":
            return self._sums(question)
        times = self._times(question)
        place = int(times.argmin()) if len(times) else -1
        arrives = place >= 0 and bool(np.isfinite(times[place]))
        if question.kind == "race":
            return {"time": np.array([times[place] if arrives else NOBODY])}
        wins = arrives and times[place] == question.time
        return {"row": self.rows[place] if wins else np.zeros(self.rows.shape[1])}

    @cached_property
    def _keys(self) -> Keys:
        return row_keys(self.rows)

    def _times(self, question: Question) -> Floats:
        drawn, before = question.centroids, len(self._drawn)
        if before > len(drawn) or not np.array_equal(drawn[:before], self._drawn):
            before = 0
        least = self._least if before else np.full(len(self.rows), np.inf if len(drawn) else 1.0)
        for centroid in drawn[before:]:
            least = np.minimum(least, squared_distances(self.rows, centroid[None])[:, 0])
        self._drawn, self._least = drawn, least
        return races(self._keys, least, seed=question.seed, draw=len(drawn))

    def _sums(self, question: Question) -> Arrays:
        clusters = len(question.centroids)
        nearest = squared_distances(self.rows, question.centroids).argmin(axis=1)
        counts = np.bincount(nearest, minlength=clusters).astype(np.int64)
        return {"counts": counts, "sums": whole_sums(self.rows, nearest, question.shifts, clusters=clusters)}
