"""The rows of a client; the images of all are read once in each process."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from benchmarks.speed.handover import Plan, Task
from benchmarks.speed.task import read_images


def load_rows(path: str, *, client: int) -> TensorDataset:
    """A client's training rows.

    Parameters
    ----------
    path : str
        Of the task.
    """
    images, labels, owner = _everything(path)
    rows = torch.from_numpy(np.flatnonzero(owner == client))
    return TensorDataset(images[rows], labels[rows])


@cache
def _everything(path: str) -> tuple[Tensor, Tensor, np.ndarray]:
    task = Task.read(path)
    return *read_images(task.data, "train"), Plan.load(task.plan).owner
