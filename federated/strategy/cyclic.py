"""`Cyclic`: clients take turns in continuing one model; as Flower's `FedXgbCyclic`."""

from __future__ import annotations

from federated.strategy.base import Algorithm
from federated.strategy.server_half import ServerContext, ServerHalf
from federated.strategy.tree_growing import TreeGrowing, TreesServer
from shared.config.config import Config as RunConfig
from shared.config.model import ForestConfig
from shared.runtime.errors import ConfigError


class Cyclic(TreeGrowing, Algorithm):
    """In each round one client, in the order of clients, grows trees on the model of all before it."""

    def check(self, cfg: RunConfig) -> None:
        """Reject what has no turns: forests, fewer rounds than clients, more than one reply a round.

        Raises
        ------
        ConfigError
        """
        super().check(cfg)
        federation = cfg.federation
        if isinstance(cfg.model, ForestConfig):
            raise ConfigError(
                "strategy=cyclic continues a model, and trees of a forest do not build on one another; set "
                "strategy=bagging"
            )
        if federation.num_rounds < federation.num_clients:
            raise ConfigError(
                "strategy=cyclic trains one client a round: with "
                f"federation.num_rounds={federation.num_rounds} "
                f"not all of federation.num_clients={federation.num_clients} have a turn; set at least "
                f"federation.num_rounds={federation.num_clients}"
            )
        if federation.min_replies != 1:
            raise ConfigError(
                f"strategy=cyclic trains one client a round, federation.min_replies={federation.min_replies} "
                "could never be reached; set federation.min_replies=1"
            )
        if self.config.fraction_train != 1.0:
            raise ConfigError(
                "strategy=cyclic trains one client a round: expected strategy.fraction_train=1, got "
                f"{self.config.fraction_train}"
            )

    def server(self, context: ServerContext) -> ServerHalf:
        """What gives each client its turn."""
        return CyclicServer(context)


class CyclicServer(TreesServer):
    """Asks one client a round."""

    def sampled(self, round: int) -> list[int]:
        """The node whose turn it is."""
        return [self.nodes[(round - 1) % len(self.nodes)]]
