"""`Bagging`: clients grow trees on the same model, and the server joins them; as Flower's `FedXgbBagging`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from federated.strategy.base import Algorithm
from federated.strategy.server_half import ServerContext, ServerHalf
from federated.strategy.tree_growing import Rounds, TreeGrowing, TreesServer


class Bagging(TreeGrowing, Algorithm):
    """The model of the next round has the trees of all clients, in the order of clients.

    With ``combine=mean`` each client's trees count by its share of the training rows, so that a round is one
    step of boosting, whose leaves are means over clients; of forests, all trees of a round together count as
    many as the clients. With ``combine=sum`` (of boosted trees) they are taken as they are.
    """

    class Config(Algorithm.Config):
        """How trees of several clients are joined."""

        combine: Literal["mean", "sum"]

    config: Config

    def server(self, context: ServerContext) -> ServerHalf:
        """What joins the trees."""
        return BaggingServer(context, combine=self.config.combine)


class BaggingServer(TreesServer):
    """Adds the trees of all clients."""

    def __init__(self, context: ServerContext, *, combine: str) -> None:
        super().__init__(context)
        self.combine = combine

    def joined(self, grown: Sequence[Rounds], examples: Sequence[int]) -> Rounds:
        """The clients' trees one after the other, their leaves weighted."""
        rounds = super().joined(grown, examples)
        if self.combine == "sum":
            return rounds
        total = sum(examples) / (len(examples) if self.network.model.objective.averages else 1)
        factors = np.repeat(np.array(examples) / total, self.context.local_epochs)
        return tuple(
            tuple(tree.revalued(tree.value * factor) for tree in trees)
            for trees, factor in zip(rounds, factors.tolist(), strict=True)
        )
