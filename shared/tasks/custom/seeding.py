"""Random numbers that a user's code draws from the global generators, the same in every process."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from shared.runtime.seeding import derive_seed
from shared.tasks.base import FitContext


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators for the duration of a block."""
    states = random.getstate(), np.random.get_state()  # the user's code draws from it
    with torch.random.fork_rng(devices=[]):
        _seed_all(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


class SeedEpochs(Callback):
    """Seeds the global generators before each epoch, by run, client and epoch of the whole training."""

    def __init__(self, seed: int, fit: FitContext) -> None:
        self.seed, self.fit = seed, fit

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seed; Lightning's epoch counts from the beginning of the whole training."""
        _seed_all(derive_seed(self.seed, self.fit.partition_id, trainer.current_epoch))


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
