"""FedBN (Li et al. 2021, arXiv 2102.07623): averaging, with each client's own batch normalisation."""

from __future__ import annotations

from typing import ClassVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from federated.strategy.base import Algorithm
from shared.runtime.errors import ConfigError


class FedBN(Algorithm):
    """Federated averaging whose clients train and evaluate with their own batch normalisation.

    Its weights, biases and statistics are sent all the same: the server's average of them is what it evaluates
    with, and what a client begins with that trains for the first time.
    """

    keeps_state: ClassVar[bool] = True

    def local_keys(self, network: nn.Module) -> frozenset[str]:
        """All parameters and buffers of batch normalisation.

        Raises
        ------
        ConfigError
            The network has none.
        """
        keys = frozenset(
            f"{name}.{key}"
            for name, module in network.named_modules()
            if isinstance(module, _BatchNorm)
            for key in module.state_dict()
        )
        if not keys:
            raise ConfigError(
                "strategy=fedbn has no effect on a network without batch normalisation; set model.norm=batch"
            )
        return keys
