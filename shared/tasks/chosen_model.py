"""`ChosenModel`: which model of a training was tested, and what about it is to be doubted; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.tasks.selection import Monitor


@dataclass(frozen=True)
class ChosenModel:
    """The model that was tested.

    Attributes
    ----------
    number : int
        The epoch or round after which it was tested, from 1.
    of : int
        How many were to be trained.
    chosen : bool
        Whether ``monitor`` was to choose it; else it is the last one, as configured.
    measured : bool
        Whether anybody could measure the monitor.
    """

    unit: Literal["epoch", "round"]
    number: int
    of: int
    chosen: bool
    monitor: Monitor
    measured: bool = True

    def summary(self, confusion: Sequence[Sequence[int]] | None, *, classes: Sequence[str]) -> dict[str, Any]:
        """What a run's summary holds of it, its warnings included."""
        return {
            f"test_{self.unit}": self.number,
            "warnings": [*self._of_choice(), *of_confusion(confusion, classes=classes)],
        }

    def _of_choice(self) -> list[str]:
        key, unit = self.monitor.key, self.unit
        if not self.chosen:
            return []
        if not self.measured:
            return [
                f"{key}, which was to choose the model, was never measured: the model of the last {unit} "
                f"({self.number}) was tested"
            ]
        if self.number == 1 and self.of > 1:
            return [
                f"the model of the first {unit} of {self.of} was tested, as {key} was never better afterwards: "
                "the training did not help, or the metric is a poor choice (trainer.monitor, "
                "trainer.test_model=last)"
            ]
        return []


def of_confusion(confusion: Sequence[Sequence[int]] | None, *, classes: Sequence[str]) -> list[str]:
    """Warn of classes that a tested model never predicts, though there are rows of them.

    Parameters
    ----------
    confusion : list of list of int, or None
        ``confusion[true][predicted]``; None where the task has no classes.
    """
    if confusion is None:
        return []
    rows = [sum(row) for row in confusion]
    columns = [sum(column) for column in zip(*confusion, strict=True)]
    never = [place for place, count in enumerate(columns) if not count and rows[place]]
    if not never:
        return []
    total = sum(rows)
    predicted = [place for place, count in enumerate(columns) if count]
    if len(predicted) == 1:
        (one,) = predicted
        return [
            f"the tested model calls all {total:,} test examples {classes[one]} ({rows[one]:,} are): "
            "its accuracy is that class's share"
        ]
    names = ", ".join(f"{classes[place]} ({rows[place]:,} test examples)" for place in never)
    return [f"the tested model never predicts {names}"]
