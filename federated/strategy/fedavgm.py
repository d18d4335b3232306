"""Server momentum (Hsu et al. 2019, arXiv 1909.06335): Flower's FedAvgM, made deterministic and resumable."""

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


class FedAvgM(Algorithm):
    """A step of SGD with momentum on the server, along what the average of the clients has changed."""

    class Config(Algorithm.Config):
        """``server_momentum`` is the share of the last step that is kept; 0 is federated averaging."""

        server_momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
        server_learning_rate: Annotated[float, Field(gt=0.0)]

    config: Config

    def server(self, context: ServerContext) -> ServerHalf:
        """Flower's momentum."""
        return FedAvgMServer(
            context,
            server_momentum=self.config.server_momentum,
            server_learning_rate=self.config.server_learning_rate,
        )


class FedAvgMServer(ServerHalf, flower.FedAvgM, Averaging):
    """See `FedAvgM`.

    Buffers, such as BatchNorm's statistics, are no weights that could have a momentum: they are averaged.
    """

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
            self.current_arrays = arrays
        return arrays, metrics

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """The momentum of each array.

        Returns
        -------
        dict of str to ndarray
            Empty before the first round.
        """
        if self.momentum_vector is None or self.current_arrays is None:
            return {}
        return dict(zip(self.current_arrays, self.momentum_vector, strict=True))

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], *, arrays: ArrayRecord) -> None:
        """Resume with a stored momentum.

        Parameters
        ----------
        state : mapping of str to ndarray
            From `state`.
        arrays : ArrayRecord
            The global model that it belongs to.
        """
        if state:
            self.momentum_vector = [state[key] for key in arrays]
