"""`Sums`: models that the server fits by asking all clients for sums; they equal those of pooled training."""

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
from shared.anomalies.components import ComponentAnswers
from shared.anomalies.forest import ForestAnswers
from shared.clusters.mixture import ROW, MixtureAnswers
from shared.config.config import Config as RunConfig
from shared.config.model import GmmConfig, IsolationForestConfig, PcaConfig
from shared.model.fitted import FittedNetwork
from shared.runtime.errors import ConfigError, FittingError, ReplyRejected
from shared.sums.questions import Answers, Question

MODELS: Mapping[str, Answers] = {
    "pca": ComponentAnswers(),
    "forest": ForestAnswers(),
    "gmm": MixtureAnswers(),
}


class Sums(Asking, Algorithm):
    """The server asks all clients for sums over their rows, and fits the model to these.

    All clients answer every question: without one of them the sums would be of other rows.
    """

    a_round = "one iteration"
    rounds = "the iterations"

    def check(self, cfg: RunConfig) -> None:
        """Reject another model, and rounds that are no epoch.

        Raises
        ------
        ConfigError
        """
        if not isinstance(cfg.model, PcaConfig | IsolationForestConfig | GmmConfig):
            raise ConfigError(
                "strategy=sums fits models by sums (model=pca, isolation_forest, gmm), got "
                f"model.name={cfg.model.name}"
            )
        super().check(cfg)

    def tells_rows(self, asked: Asked) -> bool:
        """A mixture starts from k-means, whose centroids start as rows."""
        return asked.kind == ROW

    def answers(self, asked: Asked) -> Layout:
        """Sums, as many as the question asks for."""
        question = _question(asked)
        return answers_of(question).layout(question)

    def answer(self, asked: Asked, context: AskedContext) -> Arrays:
        """Sums over this client's rows."""
        question = _question(asked)
        return answers_of(question).answer(question, context.datamodule.prepared("train"))

    def server(self, context: ServerContext) -> ServerHalf:
        """What asks, and fits."""
        return SumsServer(context)


class SumsServer(AskingServer):
    """Takes one step of the fit before it sends the train messages of a round, which carry the new model.

    It keeps nothing between rounds that does not follow from the global model and the clients' rows.
    """

    def __init__(self, context: ServerContext, **kwargs: Any) -> None:
        super().__init__(context, **kwargs)
        assert isinstance(context.network, FittedNetwork)
        self.network = context.network
        self._question: Question | None = None  # the one that is open

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Fit by questions, then let all clients say what the model makes of their rows.

        Raises
        ------
        QuorumError
            A client did not answer.
        FittingError
            The rows allow no model, or an answer cannot be true.
        """
        self.network.load_state_dict(state_of(arrays))
        step = self.network.fitting.step
        self.network.take(
            step(self.network.found, lambda question: self._ask(question, config=config, grid=grid))
        )
        return super().configure_train(server_round, arrays_from_state(self.network.state_dict()), config, grid)

    def check_answer(self, content: RecordDict) -> None:
        """Check that an answer is what was asked for, and could be true.

        Raises
        ------
        ReplyRejected
        """
        question = self._question
        assert question is not None
        answers = self.network.fitting.answers
        try:
            answers.check(question, read_answer(content, layout=answers.layout(question)))
        except FittingError as error:
            raise ReplyRejected(str(error)) from None

    def _ask(self, question: Question, *, config: ConfigRecord, grid: Grid) -> Mapping[str, Arrays]:
        self._question = question
        layout = self.network.fitting.answers.layout(question)
        answers = self.ask(Asked(question.kind, question.arrays), layout=layout, config=config, grid=grid)
        return {f"client {place}": arrays for place, arrays in answers.items()}


def answers_of(question: Question) -> Answers:
    """A client's half of the model that a question is about.

    Raises
    ------
    FittingError
        There is no such model.
    """
    model = question.kind.partition("/")[0]
    if model not in MODELS:
        raise FittingError(f"{question.kind!r} is no question of {', '.join(MODELS)}")
    return MODELS[model]


def _question(asked: Asked) -> Question:
    return Question(asked.kind, asked.arrays)
