"""`FittedNetwork`: a model that is fitted by sums, where a network is expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from shared.sums.questions import Arrays, Fitting


class FittedNetwork(nn.Module):
    """The arrays of a model, each in its own type, and on the CPU.

    Parameters
    ----------
    fitting : Fitting
        What fits them, and what they say of rows.
    """

    def __init__(self, fitting: Fitting) -> None:
        super().__init__()
        self.fitting = fitting
        for name, array in fitting.empty().items():
            self.register_buffer(name, torch.from_numpy(array))

    @property
    def found(self) -> dict[str, npt.NDArray[Any]]:
        """The same as arrays."""
        return {name: buffer.numpy().copy() for name, buffer in self.named_buffers()}

    def take(self, found: Arrays) -> None:
        """Hold other arrays."""
        for name, buffer in self.named_buffers():
            buffer.copy_(torch.from_numpy(found[name]))

    def forward(self, rows: Tensor) -> Tensor:
        """What the model says of rows [B, width], float64."""
        return torch.from_numpy(
            self.fitting.results(self.found, rows.detach().cpu().numpy().astype(np.float64))
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FittedNetwork:
        """Leave it as it is: in 32 bits, it would say something else."""
        return self
