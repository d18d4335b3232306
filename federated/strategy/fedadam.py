"""FedAdam (Reddi et al. 2021, arXiv 2003.00295): Flower's, made deterministic and resumable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import numpy as np
import numpy.typing as npt
from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp import strategy as flower
from pydantic import Field

from federated.strategy.aggregation import Averaging
from federated.strategy.base import Algorithm
from federated.strategy.server_half import ServerContext, ServerHalf

_MEAN, _SQUARE = "mean/", "square/"


class FedAdam(Algorithm):
    """A step of Adam on the server, along what the average of the clients has changed.

    With Flower's correction of the first rounds, which the paper's Algorithm 2 does not have: in round t the
    learning rate is multiplied by ``sqrt(1 - beta_2 ** (t + 1)) / (1 - beta_1 ** (t + 1))``.
    """

    class Config(Algorithm.Config):
        """The larger ``tau``, the less the step adapts to each weight."""

        server_learning_rate: Annotated[float, Field(gt=0.0)]
        beta_1: Annotated[float, Field(ge=0.0, lt=1.0)]
        beta_2: Annotated[float, Field(ge=0.0, lt=1.0)]
        tau: Annotated[float, Field(gt=0.0)]

    config: Config

    def server(self, context: ServerContext) -> ServerHalf:
        """Flower's Adam."""
        config = self.config
        return FedAdamServer(
            context, eta=config.server_learning_rate, beta_1=config.beta_1, beta_2=config.beta_2, tau=config.tau
        )


class FedAdamServer(ServerHalf, flower.FedAdam, Averaging):
    """See `FedAdam`; buffers, such as BatchNorm's statistics, are averaged."""

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Take the step.

        Parameters
        ----------
        server_round : int
            Counted from this start.
        replies : iterable of Message
            Sorted by client.
        """
        arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is not None:
            arrays = self.with_averages(arrays, keys=self.context.buffers)
        return arrays, metrics

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """The moving means of each array's changes and of their squares; empty before the first round."""
        if self.m_t is None or self.v_t is None:
            return {}
        means = {f"{_MEAN}{key}": values for key, values in self.m_t.items()}
        return means | {f"{_SQUARE}{key}": values for key, values in self.v_t.items()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], *, arrays: ArrayRecord) -> None:
        """Resume with stored moving means.

        Parameters
        ----------
        state : mapping of str to ndarray
            From `state`.
        arrays : ArrayRecord
            The global model that they belong to.
        """
        if state:
            self.m_t = {key: state[f"{_MEAN}{key}"] for key in arrays}
            self.v_t = {key: state[f"{_SQUARE}{key}"] for key in arrays}
