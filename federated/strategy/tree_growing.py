"""`TreeGrowing`: what algorithms share whose clients grow trees of another library on their own rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

import lightning as L
import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid

from federated.messages.questions import Arrays, Asked, read_answer, unpacked_arrays
from federated.messages.records import METRICS, NUM_EXAMPLES, arrays_from_state
from federated.messages.wire import ArraySpec, Layout, WireSpec
from federated.strategy.asking import AskingServer
from federated.strategy.base import Algorithm
from federated.strategy.client_half import AskedContext, ClientContext, ClientHalf, FitResult
from federated.strategy.server_half import ServerContext
from shared.config.config import Config as RunConfig
from shared.config.model import OF_LIBRARIES
from shared.model.trees import TreeNetwork
from shared.runtime.errors import ConfigError, FederationError, ReplyRejected, TreesError
from shared.tasks.tables.growth import start_of
from shared.tasks.tables.trees import TreeModule
from shared.trees.arrays import from_arrays, to_arrays
from shared.trees.model import Tree, TreeEnsemble

TREES = "trees"  # the record of a reply
START = "start"  # the question before the first round
_OUTPUTS = "outputs"  # its array: K
Rounds = tuple[tuple[Tree, ...], ...]


class TreeGrowing:
    """A mixin, named before `Algorithm`: a client's reply has the trees that it has grown.

    These are as many as ``federation.local_epochs``; of several classes, as many of each.
    Trees travel as arrays that are checked whole; no file of a library is ever read from a message.
    """

    config: Algorithm.Config
    wire = WireSpec(up=(ArraySpec(TREES, like="grown"),), returns_model=False, sums=False)

    def check(self, cfg: RunConfig) -> None:
        """Reject another model, and rounds that are parts of an epoch.

        Raises
        ------
        ConfigError
        """
        if not isinstance(cfg.model, OF_LIBRARIES):
            raise ConfigError(
                f"strategy={self.config.name} joins trees (model=xgboost, lightgbm or forest), got "
                f"model.name={cfg.model.name}"
            )
        if cfg.federation.rounds_per_epoch != 1:
            raise ConfigError(
                f"federation.rounds_per_epoch={cfg.federation.rounds_per_epoch} has no meaning for trees, "
                "which take all rows of a client; set federation.rounds_per_epoch=1"
            )

    def answers(self, asked: Asked) -> Layout:
        """Sums of weights and of targets, from which the model starts.

        Raises
        ------
        FederationError
            It is another question.
        """
        if asked.kind != START or [*asked.arrays] != [_OUTPUTS] or asked.arrays[_OUTPUTS].shape != (1,):
            raise FederationError(f"strategy={self.config.name} has no question {asked.kind!r} like this")
        return _start_layout(int(asked.arrays[_OUTPUTS][0]))

    def answer(self, asked: Asked, context: AskedContext) -> Arrays:
        """These sums of this client's rows."""
        module = cast(TreeModule, context.module)
        weight, targets = module.growth(context.datamodule).start_sums()
        return {name: {"weight": weight, "targets": targets}[name] for name in self.answers(asked)}

    def client(self, context: ClientContext) -> ClientHalf:
        """What grows trees."""
        return TreesClient(context)


class TreesClient(ClientHalf):
    """Grows the trees before the fit, of which nothing else is left to do."""

    def __init__(self, context: ClientContext) -> None:
        self.context = context
        self._new: Rounds = ()

    def before_fit(self, module: L.LightningModule) -> None:
        """Grow trees on top of the global model."""
        module = cast(TreeModule, module)
        before, count = module.network.model, module.cfg.federation.local_epochs
        module.grow(self.context.datamodule, number=module.fit_context.epoch_offset, count=count)
        self._new = module.network.model.rounds[len(before.rounds) :]

    def after_fit(self, module: L.LightningModule) -> FitResult:
        """The trees, without those of the global model."""
        model = cast(TreeModule, module).network.model
        arrays = to_arrays(replace(model, rounds=self._new))
        return FitResult(
            arrays={TREES: {name: torch.from_numpy(np.array(own)) for name, own in arrays.items()}}
        )


class TreesServer(AskingServer):
    """Joins the clients' trees to the global model; a subclass says how."""

    def __init__(self, context: ServerContext) -> None:
        super().__init__(context)
        assert isinstance(context.network, TreeNetwork)
        self.network = context.network
        self._begun = bool(self.network.model.rounds)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Train messages; before the first, all clients are asked where the model starts.

        Raises
        ------
        QuorumError
            A client did not answer.
        """
        if not self._begun:
            model = self.network.model
            asked = Asked(START, {_OUTPUTS: np.array([model.objective.outputs], dtype=np.int64)})
            answers = self.ask(asked, layout=_start_layout(model.objective.outputs), config=config, grid=grid)
            sums = [answers[place] for place in sorted(answers)]
            weight, targets = (sum(own[name] for own in sums) for name in ("weight", "targets"))
            start = start_of(model.objective, np.asarray(weight), np.asarray(targets))
            self.network.model = replace(model, start=start)
            arrays, self._begun = arrays_from_state(self.network.state_dict()), True
        return super().configure_train(server_round, arrays, config, grid)

    def check_answer(self, content: RecordDict) -> None:
        """Check the sums of a client.

        Raises
        ------
        ReplyRejected
        """
        sums = read_answer(content, layout=_start_layout(self.network.model.objective.outputs))
        if not sums["weight"][0] >= 0:
            raise ReplyRejected(f"its weights add up to {sums['weight'][0]:g}; expected 0 or more")

    def check_trained(self, content: RecordDict) -> None:
        """Check that a client's trees are trees, as many as it was to grow.

        Raises
        ------
        ReplyRejected
        """
        self._trees(content)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The model with the trees of the clients, in the order of clients."""
        answers = [reply.content for reply in replies if reply.has_content()]
        if not answers:
            return None, None
        examples = [cast(int, content.metric_records[METRICS][NUM_EXAMPLES]) for content in answers]
        rounds = self.joined([self._trees(content) for content in answers], examples)
        self.network.model = self.network.model.extended(rounds)
        metrics = self.train_metrics_aggr_fn(answers, self.weighted_by_key)
        return arrays_from_state(self.network.state_dict()), metrics

    def joined(self, grown: Sequence[Rounds], examples: Sequence[int]) -> Rounds:
        """What is added to the model: the clients' trees one after the other.

        Parameters
        ----------
        grown : sequence of tuple
            By client.
        examples : sequence of int
            Their training rows.
        """
        return tuple(trees for rounds in grown for trees in rounds)

    def _trees(self, content: RecordDict) -> Rounds:
        own: TreeEnsemble = self.network.model
        arrays = unpacked_arrays(content.array_records[TREES])
        arrays["missing_left"] = arrays["missing_left"].astype(np.bool_)
        try:
            grown = from_arrays(arrays, features=own.features, objective=own.objective)
        except TreesError as error:
            raise ReplyRejected(f"its trees cannot be: {error}") from None
        if len(grown.rounds) != self.context.local_epochs:
            raise ReplyRejected(
                f"expected the trees of {self.context.local_epochs} local epochs (federation.local_epochs), "
                f"got those of {len(grown.rounds)}"
            )
        return grown.rounds


def _start_layout(outputs: int) -> Layout:
    return {"weight": ((1,), "float64"), "targets": ((outputs,), "float64")}
