"""`Targets`: what is to be predicted, as a task's `TargetReader` reads it from the text of a column."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from shared.data.dataset import Strata
from shared.data.schema import Schema
from shared.data.sources.spelling import find_alike, is_missing

SEVERAL = " "  # between the 0 and 1 of each label, where a numbered source has several labels a row


@dataclass(frozen=True)
class Targets:
    """What is to be predicted of each row.

    Attributes
    ----------
    values : ndarray [N, ...]
        As the batches hold it.
    strata : Strata or None
        What splits and partitions stratify by.
    """

    values: npt.NDArray[Any]
    schema: Schema
    strata: Strata | None


@dataclass(frozen=True)
class TargetColumn:
    """The text of the target, and what is known of it.

    Attributes
    ----------
    name : str
        The column's.
    texts : sequence of str, N
    rows : sequence of str, N
        Names of the rows, for messages.
    numbered : bool
        Labels are numbers from 0, or 0 and 1 for each of several labels (``0 1 0``); else they are names.
    classes : tuple of str, optional
        Names of the labels by number, as the source has them.
    wanted : tuple of str, optional
        The same as configured (``data.classes``).
    """

    name: str
    texts: Sequence[str]
    rows: Sequence[str]
    numbered: bool = False
    classes: tuple[str, ...] | None = None
    wanted: tuple[str, ...] | None = None

    @property
    def labels_a_row(self) -> int:
        """More than 1 where a numbered source has several labels a row."""
        return 1 + max((text.count(SEVERAL) for text in self.texts), default=0) if self.numbered else 1


class TargetReader(Protocol):
    """Reads the targets of a task."""

    def __call__(self, column: TargetColumn, problems: list[str]) -> Targets:
        """Read a column.

        Parameters
        ----------
        problems : list of str
            Takes one sentence for each row or setting that is wrong; the targets are of no use then.
        """
        ...


def doubtful_labels(names: Collection[str]) -> list[str]:
    """Say which of the labels that occur may be the same, or none; of use where ``data.classes`` is not set.

    Returns
    -------
    list of str
        One sentence for each label, or for those that may be the same.
    """
    keep = "set data.classes to keep"
    found = find_alike(names)
    alike = [f"labels {found}; write them in one way, or {keep} them apart"] if found else []
    absent = [
        f"label {name!r} stands for a missing value; drop these rows or fill them, or {keep} it as a class"
        for name in sorted(names)
        if name and is_missing(name)
    ]
    return alike + absent
