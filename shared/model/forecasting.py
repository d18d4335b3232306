"""The networks for time series: linear and multilayer perceptrons of a whole window, an LSTM, convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shared.config.config import Config
from shared.config.model import LinearConfig, LstmConfig, MlpConfig, TcnConfig
from shared.model.tabular import tabular_layers
from shared.model.weights import load_weights

SCALES = 2  # numbers at the end of each step: what its series is scaled by


class ForecastNetwork(nn.Module):
    """From the steps of a window to forecasts in the unit of the target.

    Parameters
    ----------
    core : nn.Module
        Takes the past [B, window, features] and what is known ahead [B, horizon, known]; gives scaled numbers
        [B, horizon].
    window : int
    known : sequence of int
        Features that are known ahead.
    """

    def __init__(self, core: nn.Module, *, window: int, known: list[int]) -> None:
        super().__init__()
        self.core, self.window, self.known = core, window, known

    def forward(self, steps: Tensor) -> Tensor:
        """Forecast.

        Parameters
        ----------
        steps : Tensor [B, window + horizon, features + 2], float32
            Behind the features of each step, the center and the scale of its series.

        Returns
        -------
        Tensor [B, horizon], float32
        """
        features = steps[..., :-SCALES]
        center, scale = steps[:, 0, -2:-1], steps[:, 0, -1:]
        past, ahead = features[:, : self.window], features[:, self.window :, self.known]
        forecast: Tensor = center + scale * self.core(past, ahead)
        return forecast


class Flat(nn.Module):
    """All numbers of a window at once, through layers for tables."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, past: Tensor, ahead: Tensor) -> Tensor:
        """See `ForecastNetwork`."""
        forecast: Tensor = self.layers(torch.cat([past.flatten(1), ahead.flatten(1)], dim=1))
        return forecast


class Head(nn.Module):
    """From a summary of the past, and what is known of each step ahead, to the forecast of each step."""

    def __init__(self, size: int, *, known: int, horizon: int) -> None:
        super().__init__()
        self.horizon, self.width = horizon, max(8, size // 2)
        self.steps = nn.Linear(size, horizon * self.width)
        self.mix = nn.Linear(self.width + known, self.width)
        self.out = nn.Linear(self.width, 1)

    def forward(self, summary: Tensor, ahead: Tensor) -> Tensor:
        """Forecasts [B, horizon] of a summary [B, size] and of what is known ahead [B, horizon, known]."""
        steps = self.steps(summary).unflatten(1, (self.horizon, self.width))
        forecast: Tensor = self.out(torch.relu(self.mix(torch.cat([steps, ahead], dim=2))))
        return forecast[..., 0]


class Lstm(nn.Module):
    """Reads the past step by step; its last state is the summary."""

    def __init__(self, model: LstmConfig, *, features: int, known: int, horizon: int) -> None:
        super().__init__()
        between = model.dropout if model.layers > 1 else 0.0
        self.lstm = nn.LSTM(features, model.hidden, model.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(model.dropout)
        self.head = Head(model.hidden, known=known, horizon=horizon)

    def forward(self, past: Tensor, ahead: Tensor) -> Tensor:
        """See `ForecastNetwork`."""
        states, _ = self.lstm(past)
        forecast: Tensor = self.head(self.dropout(states[:, -1]), ahead)
        return forecast


class Causal(nn.Module):
    """Two convolutions that never see a later step, beside a connection around them."""

    def __init__(self, before: int, after: int, *, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.pad = nn.ConstantPad1d(((kernel - 1) * dilation, 0), 0.0)
        self.first = nn.Conv1d(before, after, kernel, dilation=dilation)
        self.second = nn.Conv1d(after, after, kernel, dilation=dilation)
        self.around = nn.Conv1d(before, after, 1) if before != after else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor) -> Tensor:
        """From [B, before, window] to [B, after, window]."""
        found = self.dropout(torch.relu(self.first(self.pad(steps))))
        found = self.dropout(torch.relu(self.second(self.pad(found))))
        return torch.relu(found + self.around(steps))


class Tcn(nn.Module):
    """Temporal convolutions; the last step is the summary.

    References
    ----------
    Bai, Kolter and Koltun (2018), An Empirical Evaluation of Generic Convolutional and Recurrent Networks for
    Sequence Modeling.
    """

    def __init__(self, model: TcnConfig, *, features: int, known: int, horizon: int) -> None:
        super().__init__()
        widths = [features, *[model.channels] * model.blocks]
        self.blocks = nn.Sequential(
            *(
                Causal(before, model.channels, kernel=model.kernel, dilation=2**place, dropout=model.dropout)
                for place, before in enumerate(widths[:-1])
            )
        )
        self.head = Head(model.channels, known=known, horizon=horizon)

    def forward(self, past: Tensor, ahead: Tensor) -> Tensor:
        """See `ForecastNetwork`."""
        forecast: Tensor = self.head(self.blocks(past.transpose(1, 2))[..., -1], ahead)
        return forecast


def build_forecaster(
    cfg: Config, *, window: int, horizon: int, features: int, known: list[int]
) -> ForecastNetwork:
    """Build the network with initial weights that depend on ``cfg.seed`` alone.

    Parameters
    ----------
    window, horizon : int
        Steps.
    features : int
        Numbers at each step, without those that say what it is scaled by.
    known : list of int
        Those of them that are known ahead.

    Raises
    ------
    WeightsError
        ``model.weights`` cannot be loaded.
    """
    model = cfg.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.seed)
        core: nn.Module
        if isinstance(model, LinearConfig | MlpConfig):
            size = window * features + horizon * len(known)
            core = Flat(tabular_layers(model, num_inputs=size, num_outputs=horizon))
        elif isinstance(model, LstmConfig):
            core = Lstm(model, features=features, known=len(known), horizon=horizon)
        else:
            assert isinstance(model, TcnConfig), "its task checks that"
            core = Tcn(model, features=features, known=len(known), horizon=horizon)
        network = ForecastNetwork(core, window=window, known=known)
    if cfg.model.weights:
        load_weights(network, cfg.model.weights)
    return network
