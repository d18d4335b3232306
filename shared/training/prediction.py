"""From a module to `Outputs`: its predictions for a stage's rows, and the results of all devices that train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torchmetrics.utilities.distributed import gather_all_tensors

from shared.data.images.datamodule import ImageDataModule
from shared.metrics.outputs import Outputs

if TYPE_CHECKING:
    from shared.training.task_module import TaskModule


def predict(module: TaskModule, datamodule: ImageDataModule, stage: str, *, device: torch.device) -> Outputs:
    """Evaluate a module on a stage, in evaluation mode and 32 bits; its mode and place are restored after.

    Parameters
    ----------
    stage : {"train", "val", "test"}
        Never augmented.
    """
    network, data, loader = module.network, datamodule.data, datamodule.eval_loader(stage)
    parts = []
    with _evaluating(network, device), torch.inference_mode():
        # Of no rows at all, the network still says what shape its results have.
        for inputs, *_ in loader if len(loader) else [(torch.from_numpy(data.images[:0]),)]:
            results = network(datamodule.eval_transform(inputs.to(device)))
            parts.append(module.predictions(results.float()).cpu())
    return Outputs(torch.cat(parts).numpy(), data.targets[datamodule.rows[stage]])


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
