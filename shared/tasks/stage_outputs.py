"""`predict`: from a module to `Outputs`, its predictions for the rows of a stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from shared.data.arrays import ArrayDataModule
from shared.metrics.outputs import Outputs

if TYPE_CHECKING:
    from shared.tasks.task_module import TaskModule


def predict(module: TaskModule, datamodule: ArrayDataModule, stage: str, *, device: torch.device) -> Outputs:
    """Evaluate a module on a stage, in evaluation mode and 32 bits; its mode and place are restored after.

    Parameters
    ----------
    stage : {"train", "val", "test"}
        Never augmented.
    """
    network, loader = module.network, datamodule.eval_loader(stage)
    parts = []
    with _evaluating(network, device), torch.inference_mode():
        # Of no rows at all, the network still says what shape its results have.
        for inputs, *_ in loader if len(loader) else [(datamodule.no_inputs(),)]:
            results = network(datamodule.eval_transform(inputs.to(device)))
            parts.append(module.predictions(results.float()).cpu())
    return Outputs(torch.cat(parts).numpy(), datamodule.data.targets[datamodule.rows[stage]])


@contextmanager
def _evaluating(network: nn.Module, device: torch.device) -> Iterator[None]:
    training = network.training
    home = next(network.parameters()).device
    network.eval().to(device)
    try:
        yield
    finally:
        network.train(training).to(home)
