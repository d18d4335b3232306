"""The coordinate-wise median (Yin et al. 2018, arXiv 1803.01498): Flower's FedMedian, made deterministic."""

from __future__ import annotations

from flwr.serverapp import strategy as flower

from federated.messages.wire import WireSpec
from federated.strategy.base import Algorithm
from federated.strategy.server_half import ServerContext, ServerHalf


class FedMedian(Algorithm):
    """The median of the clients' arrays, whatever their numbers of examples: a few wild clients do no harm.

    It needs all models at once: the server keeps those of a round until the last has come.
    """

    wire = WireSpec(sums=False)

    def server(self, context: ServerContext) -> ServerHalf:
        """Flower's median."""
        return FedMedianServer(context)


class FedMedianServer(ServerHalf, flower.FedMedian):
    """See `FedMedian`."""
