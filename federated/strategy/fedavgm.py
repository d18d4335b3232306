"""Server momentum (Hsu et al. 2019, arXiv 1909.06335): Flower's FedAvgM, made deterministic and resumable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import FedAvgM

from federated.strategy.aggregation import WeightedMean
from federated.strategy.base import Deterministic


class DeterministicFedAvgM(Deterministic, FedAvgM, WeightedMean):
    """A step of SGD with momentum on the server, along what the average of the clients has changed.

    Buffers, such as BatchNorm's statistics, are no weights that could have a momentum: they are averaged.

    Parameters
    ----------
    **kwargs
        Of `Deterministic`, and Flower's ``server_momentum`` and ``server_learning_rate``.
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
        if arrays is not None and self.average is not None:
            averaged = {key: self.average[key] for key in arrays if key in self.buffers}
            arrays = ArrayRecord({**arrays, **averaged})
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
        """Go on from a kept momentum.

        Parameters
        ----------
        state : mapping of str to ndarray
            From `state`.
        arrays : ArrayRecord
            The global model that it belongs to.
        """
        if state:
            self.momentum_vector = [state[key] for key in arrays]
