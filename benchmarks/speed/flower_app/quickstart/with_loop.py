"""Training in a plain loop over a DataLoader, as in Flower's PyTorch quickstart."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset


def fit(model: nn.Module, rows: TensorDataset, *, batch: int, lr: float, momentum: float) -> float:
    """One epoch.

    Parameters
    ----------
    model : nn.Module
        Changed in place.

    Returns
    -------
    float
        The mean loss of the batches.
    """
    loader = DataLoader(rows, batch_size=batch, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    model.train()
    total = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)
