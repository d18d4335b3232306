"""`ServerHalf`, what our algorithms add to Flower's strategies: seeded sampling, typed arrays, resuming."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from torch import nn

from federated.messages.records import STATE_ROUND, values_of
from federated.strategy.aggregation import Averaging, as_type
from shared.config.strategy import sample_size
from shared.runtime.errors import ReplyRejected
from shared.runtime.seeding import derive_seed

# Where a partition's number stands in the seed of its row order; no federation has so many partitions.
SAMPLE_TRAIN, SAMPLE_EVALUATE = 2**31 + 1, 2**31 + 2


@dataclass(frozen=True)
class ServerContext:
    """What an algorithm's server half knows of its run.

    Attributes
    ----------
    nodes : sequence of int
        Node ids by ascending client id.
    eval_nodes : sequence of int
        Those that have validation rows.
    fraction_train, fraction_evaluate : float
        Shares of the nodes that are sampled.
    min_train : int
        At least so many train, or all.
    round_offset : int
        Rounds that were done before this start.
    trained, buffers : frozenset of str
        Keys of the model's trained parameters, and of its arrays that are no parameters.
    total_examples : callable
        The training rows of all clients in a round, from 1, whether they are sampled or not.
    network : nn.Module, optional
        The global model.
    timeout_s : float, optional
        How long the server waits for the replies to a message.
    local_epochs : int
        Of a client in a round.
    state_round : callable, optional
        The round whose state a node begins with; None: clients keep no state.
    """

    nodes: Sequence[int]
    eval_nodes: Sequence[int]
    seed: int
    fraction_train: float
    fraction_evaluate: float
    min_train: int
    round_offset: int = 0
    trained: frozenset[str] = frozenset()
    buffers: frozenset[str] = frozenset()
    total_examples: Callable[[int], int] = lambda round: 0
    state_round: Callable[[int], int] | None = None
    network: nn.Module | None = None
    timeout_s: float | None = None
    local_epochs: int = 1


class ServerHalf(FedAvg):
    """A mixin, named before one of Flower's strategies, which still does the aggregation.

    Flower samples with the global ``random`` over node ids that are random themselves, starts every run at
    round 1, and turns integer buffers into floats; all three are put right around calls of ``super()``.

    Parameters
    ----------
    **kwargs
        Of Flower's strategy.
    """

    def __init__(self, context: ServerContext, **kwargs: Any) -> None:
        # Flower sees only the nodes that were sampled here, and takes all of them.
        super().__init__(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1, **kwargs)
        self.context = context
        self.nodes, self.eval_nodes = list(context.nodes), list(context.eval_nodes)
        evaluates = int(context.fraction_evaluate > 0)
        self.eval_count = sample_size(len(self.eval_nodes), context.fraction_evaluate, at_least=evaluates)
        self.sent = ArrayRecord()  # the global model of the round that is under way

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Train messages for the nodes that (seed, round) samples.

        Parameters
        ----------
        server_round : int
            Counted from this start.
        """
        self.sent = arrays
        real_round = server_round + self.context.round_offset
        chosen = self.sampled(real_round)
        messages = super().configure_train(real_round, arrays, config, cast(Grid, _Only(grid, chosen)))
        more = self.more_records(arrays)
        for message in messages:
            for name, record in more.items():
                message.content[name] = record
        return self._addressed(messages)

    def sampled(self, round: int) -> list[int]:
        """The nodes that train in a round, from 1."""
        return train_sample(
            self.nodes,
            round=round,
            seed=self.context.seed,
            fraction=self.context.fraction_train,
            at_least=self.context.min_train,
        )

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Evaluate messages for the nodes that (seed, round) samples.

        Parameters
        ----------
        server_round : int
            Counted from this start.
        """
        real_round = server_round + self.context.round_offset
        seed = derive_seed(self.context.seed, SAMPLE_EVALUATE, real_round)
        chosen = sample(self.eval_nodes, count=self.eval_count, seed=seed)
        if not chosen:
            return []
        messages = super().configure_evaluate(real_round, arrays, config, cast(Grid, _Only(grid, chosen)))
        return self._addressed(messages)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate as Flower's strategy does, and give each array its own type again.

        Parameters
        ----------
        replies : iterable of Message
            Sorted by client.

        Returns
        -------
        tuple of ArrayRecord and MetricRecord
            The whole model; arrays that no reply carries stay as they were.
        """
        arrays, metrics = super().aggregate_train(server_round + self.context.round_offset, replies)
        return None if arrays is None else self.completed(arrays), metrics

    def check_answer(self, content: RecordDict) -> None:
        """Check an answer to the open question.

        Raises
        ------
        ReplyRejected
            Nothing was asked, or something else.
        """
        raise ReplyRejected("nothing was asked")

    def check_trained(self, content: RecordDict) -> None:
        """Check what else the algorithm expects of a reply to a train message, whose arrays are as declared.

        Raises
        ------
        ReplyRejected
        """

    def more_records(self, arrays: ArrayRecord) -> Mapping[str, ArrayRecord]:
        """The declared records that train messages carry beside the global model, by name."""
        return {}

    def completed(self, arrays: ArrayRecord) -> ArrayRecord:
        """Arrays with the types that they were sent with, and those that were sent and not returned."""
        sent = self.sent.items()
        return ArrayRecord({k: _cast(arrays[k], old.dtype) if k in arrays else old for k, old in sent})

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """What the algorithm's server half needs to resume, beside the global model."""
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], *, arrays: ArrayRecord) -> None:
        """Take up `state` again.

        Parameters
        ----------
        arrays : ArrayRecord
            The global model that it belongs to.
        """

    def _addressed(self, messages: Iterable[Message]) -> Iterable[Message]:
        """The same messages, each with the round whose state its node begins with."""
        if self.context.state_round is None:
            return messages
        messages = list(messages)
        for message in messages:  # Flower gives them one content
            config = message.content.config_records[self.configrecord_key]
            own = {**config, STATE_ROUND: self.context.state_round(message.metadata.dst_node_id)}
            message.content = RecordDict({**message.content, self.configrecord_key: ConfigRecord(own)})
        return messages


class AveragingServer(ServerHalf, Averaging):
    """The average of the clients' arrays, weighted by their training examples."""


def train_sample(nodes: Sequence[int], *, round: int, seed: int, fraction: float, at_least: int) -> list[int]:
    """The nodes that train in a round, from 1: the server's choice, which can be known before.

    Parameters
    ----------
    nodes : sequence of int
        By ascending client id; the clients' ids themselves give the clients.
    seed : int
        Of the run.
    fraction, at_least
        ``strategy.fraction_train`` and ``strategy.min_train``.
    """
    count = sample_size(len(nodes), fraction, at_least=at_least)
    return sample(nodes, count=count, seed=derive_seed(seed, SAMPLE_TRAIN, round))


def sample(nodes: Sequence[int], *, count: int, seed: int) -> list[int]:
    """Choose nodes without replacement, a function of the seed and the nodes' order alone.

    Returns
    -------
    list of int
        In the order of ``nodes``.
    """
    if count >= len(nodes):
        return list(nodes)
    chosen = np.random.default_rng(seed).choice(len(nodes), size=count, replace=False)
    return [nodes[index] for index in sorted(chosen)]


class _Only:
    """A grid that shows some nodes, to let Flower's strategy build messages for exactly these."""

    def __init__(self, grid: Grid, nodes: Sequence[int]) -> None:
        self._grid, self._nodes = grid, list(nodes)

    def get_node_ids(self) -> list[int]:
        return self._nodes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grid, name)


def _cast(array: Array, dtype: str) -> Array:
    return array if array.dtype == dtype else as_type(values_of(array), dtype)
