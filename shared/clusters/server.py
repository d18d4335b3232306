"""`Lloyd`: k-means by questions to all clients, whose centroids are those of the pooled rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from shared.clusters.distances import Floats
from shared.clusters.messages import NOBODY, Arrays, Question, check_answer
from shared.runtime.counts import count_of
from shared.runtime.errors import ClustersError
from shared.sums.exact import Ints, means_of, shifts_for

Ask = Callable[[Question], Mapping[str, Arrays]]  # the answers of all clients, by client


@dataclass(frozen=True, eq=False)
class Centroids:
    """Centroids and how many training rows each was the mean of.

    Attributes
    ----------
    places : ndarray [k, d], float64
    sizes : ndarray [k], int64
        All 0 before the first iteration.
    """

    places: Floats
    sizes: Ints

    @property
    def has_begun(self) -> bool:
        """Whether there has been an iteration."""
        return bool(self.sizes.any())


class Lloyd:
    """Lloyd's iterations from a k-means++ start (Lloyd 1982; Arthur and Vassilvitskii 2007).

    A centroid without rows stays where it is.

    Parameters
    ----------
    seed : int
        Of the start.
    """

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._rows: dict[str, int] = {}
        self._exponents: Ints = np.zeros(0, dtype=np.int64)
        self._settled: Floats | None = None

    def iterate(self, before: Centroids, ask: Ask) -> Centroids:
        """One iteration; before the first one, the start.

        Parameters
        ----------
        before : Centroids
            Of the iteration before.
        ask : callable

        Raises
        ------
        ClustersError
            There are fewer distinct rows than clusters, or an answer cannot be true.
        """
        if self._settled is not None and np.array_equal(before.places, self._settled):
            return before  # no row would change its cluster
        self._take_scale(ask, width=before.places.shape[1])
        places = before.places if before.has_begun else self.start(before, ask)
        shifts = shifts_for(self._exponents, rows=sum(self._rows.values()))
        answers = self._asked(Question("sums", places, shifts=shifts), ask)
        for client, answer in answers.items():
            self._check(client, answer, shifts)
        counts = _added([answer["counts"] for answer in answers.values()])
        sums = _added([answer["sums"] for answer in answers.values()])
        after = np.where(counts[:, None] > 0, means_of(sums, counts, shifts), places)
        self._settled = after if np.array_equal(after, places) else None
        return Centroids(after, counts)

    def start(self, before: Centroids, ask: Ask) -> Floats:
        """Draw a row for each centroid, by its squared distance to the nearest one before.

        Raises
        ------
        ClustersError
        """
        clusters, width = before.places.shape
        drawn = np.zeros((0, width))
        for _ in range(clusters):
            question = Question("race", drawn, seed=self._seed)
            times = {client: float(own["time"][0]) for client, own in self._asked(question, ask).items()}
            arrived = {client: time for client, time in times.items() if time != NOBODY}
            if not arrived:
                raise ClustersError(
                    f"{clusters} clusters need as many different training rows, and there "
                    f"{'is' if len(drawn) == 1 else 'are'} only {len(drawn)}; set task.clusters to fewer"
                )
            first = min(arrived, key=lambda client: (arrived[client], client))
            question = Question("row", drawn, seed=self._seed, time=arrived[first])
            row = self._asked(question, ask)[first]["row"]
            drawn = np.concatenate([drawn, row[None]])
        return drawn

    def _take_scale(self, ask: Ask, *, width: int) -> None:
        if self._rows:
            return
        answers = self._asked(Question("scale", np.zeros((0, width))), ask)
        rows = {client: int(answer["rows"][0]) for client, answer in answers.items()}
        if not any(rows.values()):
            raise ClustersError("no client has a training row")
        self._exponents = np.max([answer["exponents"] for answer in answers.values()], axis=0)
        self._rows = rows

    @staticmethod
    def _asked(question: Question, ask: Ask) -> Mapping[str, Arrays]:
        answers = ask(question)
        for client, answer in answers.items():
            try:
                check_answer(question, answer)
            except ClustersError as error:
                raise ClustersError(f"{client}: {error}") from None
        return answers

    def _check(self, client: str, answer: Arrays, shifts: Ints) -> None:
        """Check that counts are of all its rows, and sums no larger than these rows allow."""
        rows, counted = self._rows.get(client), sum(answer["counts"].tolist())
        if counted != rows:
            raise ClustersError(
                f"{client}: expected counts by cluster of {count_of(rows or 0, 'row')}, got {counted}"
            )
        most = np.ldexp(1.0, (self._exponents + shifts).astype(np.int32))
        if (np.abs(answer["sums"].astype(np.float64)) > answer["counts"][:, None] * most).any():
            raise ClustersError(f"{client}: its sums are larger than its rows allow")


def _added(parts: list[Ints]) -> Ints:
    total: Ints = np.stack(parts).sum(axis=0)
    return total
