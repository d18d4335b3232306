"""`Asking`, `AskingServer`, `FittingServer`: what algorithms share whose server asks all clients for sums."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from pydantic import ValidationInfo, field_validator

from federated.messages.questions import Arrays, Asked, is_behind, read_answer
from federated.messages.records import ASK, arrays_from_state, state_of
from federated.messages.wire import Layout, WireSpec
from federated.strategy.base import Algorithm
from federated.strategy.server_half import ServerContext, ServerHalf
from shared.config.config import Config as RunConfig
from shared.runtime.errors import ClustersError, ConfigError, FittingError, ReplyRejected


class Asking:
    """A mixin, named before `Algorithm`: the server makes the model of the answers of clients.

    All clients answer every question: without one of them the sums would be of other rows.

    Attributes
    ----------
    a_round, rounds : str
        What a round is, and what all of them are, for messages.
    """

    class Config(Algorithm.Config):
        """All clients take part in every round."""

        @field_validator("fraction_train")
        @classmethod
        def _all(cls, value: float, info: ValidationInfo) -> float:
            if value != 1.0:
                raise ValueError(
                    f"{info.data.get('name')} takes the sums of all clients: expected 1, got {value}"
                )
            return value

    config: Algorithm.Config
    wire = WireSpec(returns_model=False)
    a_round: ClassVar[str]
    rounds: ClassVar[str]

    def check(self, cfg: RunConfig) -> None:
        """Reject rounds that are no epoch.

        Raises
        ------
        ConfigError
        """
        for name, value in (
            ("local_epochs", cfg.federation.local_epochs),
            ("rounds_per_epoch", cfg.federation.rounds_per_epoch),
        ):
            if value != 1:
                raise ConfigError(
                    f"federation.{name}={value} has no meaning for strategy={self.config.name}, of which a "
                    f"round is {self.a_round}; set federation.{name}=1, and federation.num_rounds to "
                    f"{self.rounds}"
                )


class AskingServer(ServerHalf):
    """Changes the model by questions before it sends the train messages of a round, which carry it."""

    tells_past = False  # whether the open question carries the past

    def ask(
        self,
        asked: Asked,
        *,
        layout: Layout,
        config: ConfigRecord,
        grid: Grid,
        past: Callable[[], Arrays] | None = None,
    ) -> dict[int, Arrays]:
        """Ask all clients.

        Parameters
        ----------
        layout : mapping
            The arrays of an answer.
        past : callable, optional
            Gives what is told to clients that have forgotten what was asked before; they are asked again.

        Returns
        -------
        dict of int to mapping
            By a client's place among the nodes, which have other ids when a run is resumed.

        Raises
        ------
        QuorumError
            A client did not answer.
        """
        replies = self._send(asked, self.nodes, config=config, grid=grid)
        behind = [node for node, content in replies.items() if past and is_behind(content)]
        if behind and past:
            self.tells_past = True
            try:
                replies |= self._send(replace(asked, past=past()), behind, config=config, grid=grid)
            finally:
                self.tells_past = False
        return {
            self.nodes.index(node): read_answer(content, layout=layout) for node, content in replies.items()
        }

    def _send(
        self, asked: Asked, nodes: Sequence[int], *, config: ConfigRecord, grid: Grid
    ) -> dict[int, RecordDict]:
        content = asked.to_content(config)
        messages = [Message(content, dst_node_id=node, message_type=ASK) for node in nodes]
        replies = grid.send_and_receive(messages, timeout=self.context.timeout_s)
        return {reply.metadata.src_node_id: reply.content for reply in replies}

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The model that was sent."""
        answers = [reply.content for reply in replies if reply.has_content()]
        if not answers:
            return None, None
        return self.sent, self.train_metrics_aggr_fn(answers, self.weighted_by_key)


class FittingServer(AskingServer):
    """Takes one step of a fit before it sends the train messages of a round, which carry the new model.

    It keeps nothing between rounds that does not follow from the global model and the clients' rows.
    """

    def __init__(self, context: ServerContext, **kwargs: Any) -> None:
        super().__init__(context, **kwargs)
        self._question: Any = None  # the one that is open

    @abstractmethod
    def fit(self, ask: Callable[[Any], Mapping[str, Arrays]]) -> None:
        """Take a step with the network, by the answers of all clients to questions."""

    @abstractmethod
    def asked(self, question: Any) -> tuple[Asked, Layout]:
        """A question as it is sent, and the arrays of its answer."""

    @abstractmethod
    def check(self, question: Any, answer: Arrays) -> None:
        """Check that an answer could be true.

        Raises
        ------
        ClustersError, FittingError
        """

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Fit by questions, then let all clients say what the model makes of their rows.

        Raises
        ------
        QuorumError
            A client did not answer.
        ClustersError, FittingError
            The rows allow no model, or an answer cannot be true.
        """
        network = self.context.network
        assert network is not None
        network.load_state_dict(state_of(arrays))
        self.fit(lambda question: self._ask(question, config=config, grid=grid))
        fitted = arrays_from_state(network.state_dict())
        return super().configure_train(server_round, fitted, config, grid)

    def check_answer(self, content: RecordDict) -> None:
        """Check that an answer is what was asked for, and could be true.

        Raises
        ------
        ReplyRejected
        """
        _, layout = self.asked(self._question)
        try:
            self.check(self._question, read_answer(content, layout=layout))
        except (ClustersError, FittingError) as error:
            raise ReplyRejected(str(error)) from None

    def _ask(self, question: Any, *, config: ConfigRecord, grid: Grid) -> Mapping[str, Arrays]:
        self._question = question
        asked, layout = self.asked(question)
        answers = self.ask(asked, layout=layout, config=config, grid=grid)
        return {f"client {place}": arrays for place, arrays in answers.items()}
