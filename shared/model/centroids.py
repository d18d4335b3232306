"""`CentroidNetwork`: centroids where a network is expected; from rows to their squared distances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from shared.clusters.distances import squared_distances
from shared.clusters.server import Centroids


class CentroidNetwork(nn.Module):
    """Centroids and their sizes, in 64 bits, and on the CPU.

    Parameters
    ----------
    clusters, width : int
        How many centroids, of how many numbers each.
    """

    centroids: Tensor
    sizes: Tensor

    def __init__(self, *, clusters: int, width: int) -> None:
        super().__init__()
        self.register_buffer("centroids", torch.zeros((clusters, width), dtype=torch.float64))
        self.register_buffer("sizes", torch.zeros(clusters, dtype=torch.int64))

    @property
    def found(self) -> Centroids:
        """The same as arrays."""
        return Centroids(self.centroids.numpy().copy(), self.sizes.numpy().copy())

    def take(self, found: Centroids) -> None:
        """Hold other centroids."""
        self.centroids.copy_(torch.from_numpy(found.places))
        self.sizes.copy_(torch.from_numpy(found.sizes))

    def forward(self, rows: Tensor) -> Tensor:
        """Squared distances.

        Parameters
        ----------
        rows : Tensor [B, width]

        Returns
        -------
        Tensor [B, clusters], float64
        """
        values = rows.detach().cpu().numpy().astype(np.float64)
        return torch.from_numpy(squared_distances(values, self.centroids.numpy()))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> CentroidNetwork:
        """Leave it as it is: in 32 bits, other rows would be nearest."""
        return self
