"""The trimmed mean (Yin et al. 2018, arXiv 1803.01498): Flower's FedTrimmedAvg, made deterministic."""

from __future__ import annotations

from typing import Annotated

from flwr.serverapp import strategy as flower
from pydantic import Field

from federated.messages.wire import WireSpec
from federated.strategy.base import Algorithm
from federated.strategy.server_half import ServerContext, ServerHalf


class FedTrimmedAvg(Algorithm):
    """The mean without the share ``beta`` at each end, value by value, whatever the numbers of examples.

    It needs all models at once: the server keeps those of a round until the last has come.
    """

    class Config(Algorithm.Config):
        """``beta`` is what is dropped at each end."""

        beta: Annotated[float, Field(ge=0.0, lt=0.5)]

    config: Config
    wire = WireSpec(sums=False)

    def server(self, context: ServerContext) -> ServerHalf:
        """Flower's trimmed mean."""
        return FedTrimmedAvgServer(context, beta=self.config.beta)


class FedTrimmedAvgServer(ServerHalf, flower.FedTrimmedAvg):
    """See `FedTrimmedAvg`."""
