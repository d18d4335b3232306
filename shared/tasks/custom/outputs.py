"""What a user's module says of a stage: the pairs of its ``predict_step``, and the metrics that it logs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shared.metrics.outputs import Outputs
from shared.runtime.errors import ConfigError

STEPS = {"train": "training_step", "val": "validation_step", "test": "test_step"}


def outputs_of(batches: Sequence[Any], *, of: str) -> Outputs:
    """Put the batches of a ``predict_step`` one after the other.

    Parameters
    ----------
    batches : sequence
        Each a tuple of outputs and targets, Tensors [B, ...].
    of : str
        Name of the module, for messages.

    Raises
    ------
    ConfigError
        They are something else.
    """
    pairs = [batch if isinstance(batch, tuple) and len(batch) == 2 else (None, None) for batch in batches]
    lengths = [
        {part.shape[0] if isinstance(part, Tensor) and part.ndim else None for part in pair} for pair in pairs
    ]
    if any(len(length) != 1 or None in length for length in lengths):
        raise ConfigError(
            f"the predict_step of {of} must give a tuple of two tensors, outputs and targets, each with a row "
            f"for every row of the batch; got {_shown(batches[0])}"
        )
    predictions, targets = (torch.cat(list(parts)).detach().cpu() for parts in zip(*pairs, strict=True))
    return Outputs(predictions.float().numpy(), targets.numpy())


def check_logged(found: Mapping[str, float], names: Collection[str], *, stage: str, of: str) -> None:
    """Make sure that a module logs the metrics that are declared.

    Parameters
    ----------
    found : mapping of str to float
        What it has logged of the stage, by name.

    Raises
    ------
    ConfigError
    """
    if missing := [name for name in names if name not in found]:
        raise ConfigError(
            f"{of} logs no {stage}/{missing[0]}, which task.metrics declares; of this stage it logs "
            f"{', '.join(sorted(found)) or 'nothing'}. Log it in its {STEPS[stage]} by "
            f'self.log("{stage}/{missing[0]}", value, on_step=False, on_epoch=True), or change task.metrics'
        )


def _shown(batch: Any) -> str:
    if isinstance(batch, tuple):
        return f"a tuple of {', '.join(map(_shown, batch))}"
    return f"a tensor of shape {list(batch.shape)}" if isinstance(batch, Tensor) else type(batch).__name__
