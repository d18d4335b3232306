"""`Autoencoder`, `ConvAutoencoder`: layers that narrow to a code and widen again; how badly they rebuild."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

PER_OCTAVE, OCTAVES = 32, 48  # bins of errors, from 2**-24 to 2**24: an edge is 2.2 % above the one before
BINS = PER_OCTAVE * OCTAVES


class Rebuilding(nn.Module):
    """From inputs to the mean square of what their code loses of them.

    It keeps how the errors of its training rows are distributed, as shares of bins, which clients' models are
    averaged with: the control limit is a quantile of it.
    """

    histogram: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("histogram", torch.zeros(BINS))

    @abstractmethod
    def rebuilt(self, inputs: Tensor) -> Tensor:
        """What is left of inputs [B, ...] behind the code, of their shape."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Errors of inputs [B, ...], [B, 1]."""
        return (self.rebuilt(inputs) - inputs).square().flatten(1).mean(dim=1, keepdim=True)

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


class Autoencoder(Rebuilding):
    """Linear layers with ReLU between them, of rows [B, width].

    Parameters
    ----------
    width : int
        Inputs.
    hidden : sequence of int
        Widths of the layers before the code; behind it they come in reverse.
    code : int
    """

    def __init__(self, *, width: int, hidden: Sequence[int], code: int, dropout: float) -> None:
        super().__init__()
        down = [width, *hidden, code]
        self.encoder = _layers(down, dropout=dropout)
        self.decoder = _layers(down[::-1], dropout=dropout)

    def rebuilt(self, inputs: Tensor) -> Tensor:
        """See `Rebuilding`."""
        found: Tensor = self.decoder(self.encoder(inputs))
        return found


class ConvAutoencoder(Rebuilding):
    """Convolutions over time with ReLU between them, of windows [B, steps, width].

    Parameters
    ----------
    width : int
        Inputs of a step.
    steps : int
    channels : sequence of int
        Of the convolutions before the code, each of which halves the steps; behind it they come in reverse.
    kernel : int, odd
        Steps that a convolution sees.
    """

    def __init__(self, *, width: int, steps: int, channels: Sequence[int], kernel: int, dropout: float) -> None:
        super().__init__()
        down, up, pad = list(pairwise([width, *channels])), [], kernel // 2
        encoder: list[nn.Module] = []
        for before, after in down:
            encoder += [nn.Conv1d(before, after, kernel, stride=2, padding=pad), nn.ReLU(), nn.Dropout(dropout)]
            up.append(1 - steps % 2)  # what a step that was halved leaves open
            steps = (steps + 1) // 2
        decoder: list[nn.Module] = []
        for (_, channel), after, more in zip(
            reversed(down), [*channels[-2::-1], channels[0]], reversed(up), strict=True
        ):
            widen = nn.ConvTranspose1d(channel, after, kernel, stride=2, padding=pad, output_padding=more)
            decoder += [widen, nn.ReLU(), nn.Dropout(dropout)]
        self.encoder = nn.Sequential(*encoder[:-2])  # the code may be of any sign
        self.decoder = nn.Sequential(*decoder, nn.Conv1d(channels[0], width, kernel, padding=pad))

    def rebuilt(self, inputs: Tensor) -> Tensor:
        """See `Rebuilding`."""
        found: Tensor = self.decoder(self.encoder(inputs.transpose(1, 2))).transpose(1, 2)
        return found


def _layers(widths: Sequence[int], *, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])  # the code, and what is rebuilt, may be of any sign
