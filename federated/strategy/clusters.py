"""`Clusters`: clusters by sums over all clients, whose centroids equal those of pooled training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from federated.messages.questions import Arrays, Asked, read_answer
from federated.messages.records import arrays_from_state, state_of
from federated.messages.wire import Layout
from federated.strategy.asking import Asking, AskingServer
from federated.strategy.base import Algorithm
from federated.strategy.client_half import AskedContext
from federated.strategy.server_half import ServerContext, ServerHalf
from shared.clusters.client import ClientRows
from shared.clusters.messages import Question, check_answer
from shared.clusters.server import Lloyd
from shared.config.config import Config as RunConfig
from shared.config.model import KMeansConfig
from shared.model.centroids import CentroidNetwork
from shared.runtime.errors import ClustersError, ConfigError, ReplyRejected


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


class ClusterServer(AskingServer):
    """Moves the centroids before it sends the train messages of a round, which carry the new ones.

    It keeps nothing between rounds that does not follow from the global model and the clients' rows.
    """

    def __init__(self, context: ServerContext, **kwargs: Any) -> None:
        super().__init__(context, **kwargs)
        assert isinstance(context.network, CentroidNetwork)
        self.network = context.network
        self._lloyd = Lloyd(seed=context.seed)
        self._question: Question | None = None  # the one that is open

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Move the centroids by questions, then let all clients say how far their rows are from them.

        Raises
        ------
        QuorumError
            A client did not answer.
        ClustersError
            There are fewer distinct rows than clusters, or an answer cannot be true.
        """
        self.network.load_state_dict(state_of(arrays))
        self.network.take(
            self._lloyd.iterate(
                self.network.found, lambda question: self._ask(question, config=config, grid=grid)
            )
        )
        moved = arrays_from_state(self.network.state_dict())
        return super().configure_train(server_round, moved, config, grid)

    def check_answer(self, content: RecordDict) -> None:
        """Check that an answer is what was asked for, and could be true.

        Raises
        ------
        ReplyRejected
        """
        question = self._question
        assert question is not None
        try:
            check_answer(question, read_answer(content, layout=question.answers()))
        except ClustersError as error:
            raise ReplyRejected(str(error)) from None

    def _ask(self, question: Question, *, config: ConfigRecord, grid: Grid) -> Mapping[str, Arrays]:
        self._question = question
        asked = Asked(question.kind, question.to_arrays())
        answers = self.ask(asked, layout=question.answers(), config=config, grid=grid)
        return {f"client {place}": arrays for place, arrays in answers.items()}
