"""`Sums`: models that the server fits by asking all clients for sums; they equal those of pooled training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from federated.messages.questions import Arrays, Asked
from federated.messages.wire import Layout
from federated.strategy.asking import Asking, FittingServer
from federated.strategy.base import Algorithm
from federated.strategy.client_half import AskedContext
from federated.strategy.server_half import ServerContext, ServerHalf
from shared.anomalies.components import ComponentAnswers
from shared.anomalies.forest import ForestAnswers
from shared.clusters.mixture import ROW, MixtureAnswers
from shared.config.config import Config as RunConfig
from shared.config.model import GmmConfig, IsolationForestConfig, PcaConfig
from shared.model.fitted import FittedNetwork
from shared.runtime.errors import ConfigError, FittingError
from shared.sums.questions import Answers, Ask, Question

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


class SumsServer(FittingServer):
    """Takes one step of the fit; the clients then say what the model makes of their rows."""

    def __init__(self, context: ServerContext, **kwargs: Any) -> None:
        super().__init__(context, **kwargs)
        assert isinstance(context.network, FittedNetwork)
        self.network = context.network

    def fit(self, ask: Ask) -> None:
        """One step."""
        self.network.take(self.network.fitting.step(self.network.found, ask))

    def asked(self, question: Question) -> tuple[Asked, Layout]:
        """A question as it is sent, and the arrays of its answer."""
        return Asked(question.kind, question.arrays), self.network.fitting.answers.layout(question)

    def check(self, question: Question, answer: Arrays) -> None:
        """Check that an answer could be true.

        Raises
        ------
        FittingError
        """
        self.network.fitting.answers.check(question, answer)


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
