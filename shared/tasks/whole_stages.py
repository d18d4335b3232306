"""`WholeStages`: batches of models that take all rows of a stage at once, so that an epoch has one step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class OneStep:
    """An epoch of one step, whose batch says nothing."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[int]:
        yield 0


class WholeStages:
    """A mixin, named before a data module, of which a stage is taken at once."""

    def train_dataloader(self) -> OneStep:
        """One step, in which the model sees all training rows."""
        return OneStep()

    def val_dataloader(self) -> OneStep:
        """One step, in which all validation rows are measured."""
        return OneStep()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Nothing is to be done to it."""
        return batch
