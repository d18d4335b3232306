"""`Autoencoder`: layers that narrow to a code and widen again; it says how badly a row is rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

PER_OCTAVE, OCTAVES = 32, 48  # bins of errors, from 2**-24 to 2**24: an edge is 2.2 % above the one before
BINS = PER_OCTAVE * OCTAVES


class Autoencoder(nn.Module):
    """Linear layers with ReLU between them; from rows to the mean square of what the code loses of an input.

    It keeps how the errors of its training rows are distributed, as shares of bins, which clients' models are
    averaged with: the control limit is a quantile of it.

    Parameters
    ----------
    width : int
        Inputs.
    hidden : sequence of int
        Widths of the layers before the code; behind it they come in reverse.
    code : int
    """

    histogram: Tensor

    def __init__(self, *, width: int, hidden: Sequence[int], code: int, dropout: float) -> None:
        super().__init__()
        down = [width, *hidden, code]
        self.encoder = _layers(down, dropout=dropout)
        self.decoder = _layers(down[::-1], dropout=dropout)
        self.register_buffer("histogram", torch.zeros(BINS))

    def forward(self, rows: Tensor) -> Tensor:
        """Errors of rows [B, width], [B, 1]."""
        rebuilt: Tensor = self.decoder(self.encoder(rows))
        return (rebuilt - rows).square().mean(dim=1, keepdim=True)

    def keep(self, errors: Tensor) -> None:
        """Keep the shares of bins of the training rows' errors [n, 1]."""
        places = ((torch.log2(errors.double().clamp(min=2.0**-24)) + OCTAVES / 2) * PER_OCTAVE).long()
        counts = torch.bincount(places.clamp(0, BINS - 1).reshape(-1), minlength=BINS)
        self.histogram.copy_(counts / counts.sum())

    def limit(self, quantile: float) -> float | None:
        """Upper edge of the bin in which a share of the training rows' errors is reached; None before any."""
        shares = np.cumsum(self.histogram.detach().cpu().numpy().astype(np.float64))
        if not shares[-1] > 0:
            return None
        place = int(np.searchsorted(shares, (quantile - 1e-6) * shares[-1], side="left"))
        return float(2.0 ** ((min(place, BINS - 1) + 1) / PER_OCTAVE - OCTAVES / 2))


def _layers(widths: Sequence[int], *, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])  # the code, and what is rebuilt, may be of any sign
