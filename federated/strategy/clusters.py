"""`Clusters`: clusters by sums over all clients, whose centroids equal those of pooled training."""

from __future__ import annotations

from typing import Any

from federated.messages.questions import Arrays, Asked
from federated.messages.wire import Layout
from federated.strategy.asking import Asking, FittingServer
from federated.strategy.base import Algorithm
from federated.strategy.client_half import AskedContext
from federated.strategy.server_half import ServerContext, ServerHalf
from shared.clusters.client import ClientRows
from shared.clusters.messages import Question, check_answer
from shared.clusters.server import Ask, Lloyd
from shared.config.config import Config as RunConfig
from shared.config.model import KMeansConfig
from shared.model.centroids import CentroidNetwork
from shared.runtime.errors import ConfigError


class Clusters(Asking, Algorithm):
    """The server asks all clients for the sums of their rows by nearest centroid.

    The sums are exact, so the centroids do not depend on how the rows are divided among the clients. All
    clients answer every question: without one of them the sums would be of other rows.
    """

    a_round = "one iteration"
    rounds = "the iterations"

    def __init__(self, config: Algorithm.Config) -> None:
        super().__init__(config)
        self._kept: dict[tuple[str, int], ClientRows] = {}

    def check(self, cfg: RunConfig) -> None:
        """Reject another model, and rounds that are no epoch.

        Raises
        ------
        ConfigError
        """
        if not isinstance(cfg.model, KMeansConfig):
            raise ConfigError(
                f"strategy=clusters moves centroids (model=kmeans), got model.name={cfg.model.name}"
            )
        super().check(cfg)

    def tells_rows(self, asked: Asked) -> bool:
        """Centroids start as rows."""
        return asked.kind == "row"

    def answers(self, asked: Asked) -> Layout:
        """Counts and sums, as many as the question asks for."""
        return Question.from_arrays(asked.kind, asked.arrays).answers()

    def answer(self, asked: Asked, context: AskedContext) -> Arrays:
        """Counts and sums over this client's rows."""
        question = Question.from_arrays(asked.kind, asked.arrays)
        key = context.run_key, context.client_id
        if key not in self._kept:
            self._kept = {own: kept for own, kept in self._kept.items() if own[0] == context.run_key}
            self._kept[key] = ClientRows(context.datamodule.prepared("train"))
        return self._kept[key].answer(question)

    def server(self, context: ServerContext) -> ServerHalf:
        """What asks, and moves the centroids."""
        return ClusterServer(context)


class ClusterServer(FittingServer):
    """Moves the centroids; the clients then say how far their rows are from them."""

    def __init__(self, context: ServerContext, **kwargs: Any) -> None:
        super().__init__(context, **kwargs)
        assert isinstance(context.network, CentroidNetwork)
        self.network = context.network
        self._lloyd = Lloyd(seed=context.seed)

    def fit(self, ask: Ask) -> None:
        """One iteration; before the first one, the start."""
        self.network.take(self._lloyd.iterate(self.network.found, ask))

    def asked(self, question: Question) -> tuple[Asked, Layout]:
        """A question as it is sent, and the arrays of its answer."""
        return Asked(question.kind, question.to_arrays()), question.answers()

    def check(self, question: Question, answer: Arrays) -> None:
        """Check that an answer could be true.

        Raises
        ------
        ClustersError
        """
        check_answer(question, answer)
