"""`Boosting`: histogram trees by sums over all clients, whose model equals that of pooled training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from federated.messages.questions import Arrays, Asked, read_answer
from federated.messages.records import arrays_from_state
from federated.messages.wire import Layout
from federated.strategy.asking import Asking, AskingServer
from federated.strategy.base import Algorithm
from federated.strategy.client_half import AskedContext
from federated.strategy.server_half import ServerContext, ServerHalf
from shared.config.config import Config as RunConfig
from shared.config.model import TreesConfig
from shared.model.trees import TreeNetwork
from shared.runtime.errors import ConfigError
from shared.tasks.tables.trees import TreeModule
from shared.trees.checkpoint import Checkpoint
from shared.trees.client import ClientTrees
from shared.trees.messages import COUNTED, Question, Reply, check_reply
from shared.trees.server import ServerGrower
from shared.trees.wire import packed, packed_past, unpacked, unpacked_past


class Boosting(Asking, Algorithm):
    """The server asks all clients for sums of gradients over their rows, and chooses each division itself.

    The sums are exact, so the trees do not depend on how the rows are divided among the clients. All clients
    answer every question: without one of them the sums would be of other rows.
    """

    a_round = "one tree"
    rounds = "the number of trees"

    def __init__(self, config: Algorithm.Config) -> None:
        super().__init__(config)
        self._kept: dict[tuple[str, int], ClientTrees] = {}

    def check(self, cfg: RunConfig) -> None:
        """Reject another model, and rounds that are no epoch.

        Raises
        ------
        ConfigError
        """
        if not isinstance(cfg.model, TreesConfig):
            raise ConfigError(f"strategy=boosting grows trees (model=trees), got model.name={cfg.model.name}")
        super().check(cfg)

    def answers(self, asked: Asked) -> Layout:
        """Sums, as many as the question asks for."""
        return _layout(unpacked(asked.kind, asked.arrays))

    def answer(self, asked: Asked, context: AskedContext) -> Arrays:
        """Sums over this client's rows."""
        question = unpacked(asked.kind, asked.arrays)
        key = context.run_key, context.client_id
        trees = self._kept.get(key)
        if trees is None or trees.step > question.step:
            self._kept = {own: kept for own, kept in self._kept.items() if own[0] == context.run_key}
            assert isinstance(context.module, TreeModule)
            data, rows = context.datamodule.data, context.datamodule.rows["train"]
            trees = self._kept[key] = context.module.client_trees(data, rows)
        if trees.step < question.step - 1:
            trees.catch_up(unpacked_past(asked.past, after=trees.step))
        found = trees.answer(question).arrays
        return {name: found[name] for name in _layout(question)}

    def server(self, context: ServerContext) -> ServerHalf:
        """What asks, and grows."""
        return BoostingServer(context)


class BoostingServer(AskingServer):
    """Grows a tree before it sends the train messages of a round, which carry the new model."""

    def __init__(self, context: ServerContext, **kwargs: Any) -> None:
        super().__init__(context, **kwargs)
        assert isinstance(context.network, TreeNetwork)
        self.network = context.network
        self._grower: ServerGrower | None = None
        self._resume: Checkpoint | None = None
        self._question: Question | None = None  # the one that is open

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Grow the trees of a round by questions, then let all clients say how well the model fits.

        Raises
        ------
        QuorumError
            A client did not answer.
        """
        if self._grower is None:
            model, settings = self.network.model, self.network.settings
            assert settings is not None
            self._grower = ServerGrower(
                model.features, objective=model.objective, settings=settings, resume=self._resume
            )
        grower = self._grower
        grower.grow_round(lambda question: self._ask(question, grower=grower, config=config, grid=grid))
        self.network.model = grower.ensemble
        grown = arrays_from_state(self.network.state_dict())
        return super().configure_train(server_round, grown, config, grid)

    def check_answer(self, content: RecordDict) -> None:
        """Check that sums are what was asked for, and could be sums.

        Raises
        ------
        ReplyRejected
        """
        question = self._question
        assert question is not None
        check_reply(question, Reply(question.step, read_answer(content, layout=_layout(question))))

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """What the next tree begins with."""
        kept = self._grower.checkpoint() if self._grower else None
        return kept.to_arrays() if kept else {}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], *, arrays: ArrayRecord) -> None:
        """Take up `state` again.

        Raises
        ------
        TreesError, FederationError
            It is damaged.
        """
        self._resume = Checkpoint.from_arrays(state) if state else None

    def _ask(
        self, question: Question, *, grower: ServerGrower, config: ConfigRecord, grid: Grid
    ) -> dict[str, Reply]:
        self._question = question
        asked = Asked(*packed(question), past=packed_past(grower.past))
        answers = self.ask(asked, layout=_layout(question), config=config, grid=grid)
        return {f"{place:09}": Reply(question.step, arrays) for place, arrays in answers.items()}


def _layout(question: Question) -> Layout:
    kinds = {name: "int64" if name in COUNTED else "float64" for name in question.shapes()}
    return {name: (shape, kinds[name]) for name, shape in question.shapes().items()}
