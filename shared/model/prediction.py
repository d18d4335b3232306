"""From a network to `Outputs`: the probabilities of a stage's rows, and those of all devices that train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.utilities.distributed import gather_all_tensors

from shared.data.datamodule import BatchLoader, ImageDataModule
from shared.metrics.outputs import Outputs


def predict(network: nn.Module, datamodule: ImageDataModule, stage: str, *, device: torch.device) -> Outputs:
    """Evaluate a network on a stage, in evaluation mode and 32 bits; its mode and place are restored after.

    Parameters
    ----------
    network : nn.Module
        Gives logits.
    stage : {"train", "val", "test"}
        Never augmented.

    Returns
    -------
    Outputs
        Probabilities [N, classes], float32.
    """
    loader: BatchLoader = datamodule.eval_loader(stage)
    batches = []
    with _evaluating(network, device), torch.inference_mode():
        for images, _ in loader:
            logits = network(datamodule.eval_transform(images.to(device)))
            batches.append(logits.float().softmax(dim=1).cpu())
    targets = datamodule.data.labels[datamodule.rows[stage]].astype(np.int64)
    if not batches:
        return Outputs(np.empty((0, len(datamodule.data.classes)), dtype=np.float32), targets)
    return Outputs(torch.cat(batches).numpy(), targets)


def outputs_of(logits: Tensor, labels: Tensor) -> Outputs:
    """The outputs of a batch, or of several one after the other.

    Parameters
    ----------
    logits : Tensor [N, classes]
    labels : Tensor [N], int64
    """
    return Outputs(logits.float().softmax(dim=1).cpu().numpy(), labels.cpu().numpy())


def of_all_devices(values: Tensor) -> Tensor:
    """Put the rows of every device that trains one after the other.

    Parameters
    ----------
    values : Tensor [n, ...]
        ``n`` may differ from device to device.

    Returns
    -------
    Tensor [N, ...]
        The same on every device; unchanged where there is one.
    """
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return torch.cat(gather_all_tensors(values))
    return values


@contextmanager
def _evaluating(network: nn.Module, device: torch.device) -> Iterator[None]:
    training = network.training
    home = next(network.parameters()).device
    network.eval().to(device)
    try:
        yield
    finally:
        network.train(training).to(home)
