"""The networks for tables: one linear layer, or several with ReLU between them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from shared.config.config import Config
from shared.config.model import LinearConfig, MlpConfig
from shared.model.weights import load_weights


def build_tabular(cfg: Config, *, num_inputs: int, num_outputs: int) -> nn.Module:
    """Build the network with initial weights that depend on ``cfg.seed`` alone.

    Returns
    -------
    nn.Module
        Takes float32 [B, num_inputs], gives [B, num_outputs].

    Raises
    ------
    WeightsError
        ``model.weights`` cannot be loaded.
    """
    model = cfg.model
    assert isinstance(model, LinearConfig | MlpConfig), "its task checks that"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.seed)
        network = tabular_layers(model, num_inputs=num_inputs, num_outputs=num_outputs)
    if model.weights:
        load_weights(network, model.weights)
    return network


def tabular_layers(model: LinearConfig | MlpConfig, *, num_inputs: int, num_outputs: int) -> nn.Sequential:
    """The layers alone, with weights of torch's random numbers."""
    widths = [num_inputs, *(model.hidden if isinstance(model, MlpConfig) else ())]
    layers: list[nn.Module] = []
    if isinstance(model, MlpConfig):
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), *_norm(model, after), nn.ReLU(), nn.Dropout(model.dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], num_outputs))


def _norm(model: MlpConfig, width: int) -> list[nn.Module]:
    if model.norm == "none":
        return []
    return [nn.BatchNorm1d(width) if model.norm == "batch" else nn.LayerNorm(width)]
