"""`Targets`: what is to be predicted, as a task's `TargetReader` reads it from the text of a column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt

from shared.data.dataset import Strata
from shared.data.schema import Schema
from shared.data.sources.spelling import find_alike, is_missing
from shared.runtime.counts import count_of
from shared.runtime.errors import shortened

SEPARATORS = ("|", ";", ",")  # that people write between the labels of a row
RARE_SEPARATORS = ("/", "+", "&", " and ", " und ", " et ", " y ", " ")  # and in the name of one, too
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
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
    notes : tuple of str
        What people should know of the labels.
    """

    values: npt.NDArray[Any]
    schema: Schema
    strata: Strata | None
    notes: tuple[str, ...] = ()


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
    positive : str, optional
        Which of two classes is positive, as configured (``data.positive``).
    noun : str
        What a row is: an image, or a row of a table.
    decimal : {".", ","}
        Of numbers.
    """

    name: str
    texts: Sequence[str]
    rows: Sequence[str]
    numbered: bool = False
    classes: tuple[str, ...] | None = None
    wanted: tuple[str, ...] | None = None
    positive: str | None = None
    noun: str = "image"
    decimal: str = "."

    @property
    def regression(self) -> str:
        """The setting that learns a number of such a row."""
        return f"task={'image' if self.noun == 'image' else 'tabular'}_regression"

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


class Joined(NamedTuple):
    """Labels that hold several others."""

    separator: str
    example: str
    number: int


def find_joined(names: Collection[str]) -> Joined | None:
    """Find labels that are others joined by a separator: ``Effusion|Mass`` beside ``Mass``.

    Of the usual separators, one part that occurs in another label too is enough. Of the others, which names of
    one thing hold as well, such as ``stage I/II``, all parts must be labels.

    Returns
    -------
    Joined or None
        Of the first separator that joins labels.
    """
    for separator in (*SEPARATORS, *RARE_SEPARATORS):
        parts = {name: [part.strip() for part in name.split(separator)] for name in names}
        joined = {name: own for name, own in parts.items() if len(own) > 1 and all(own)}
        found = Counter(part for own in parts.values() for part in set(own))
        judge, known = (any, found) if separator in SEPARATORS else (all, Counter([*names, *names]))
        if mixed := sorted(name for name, own in joined.items() if judge(known[part] > 1 for part in own)):
            return Joined(separator, mixed[0], len(mixed))
    return None


def not_plain_labels(names: Collection[str], *, regression: str) -> list[str]:
    """Say that labels are Python's lists, or numbers with a decimal comma; one sentence, or none.

    Parameters
    ----------
    regression : str
        The setting that learns a number.
    """
    lists = sorted(name for name in names if name.startswith("[") and name.endswith("]"))
    if lists:
        return [
            f"{count_of(len(lists), 'label')} such as {shortened(repr(lists[0]))} are lists as Python writes "
            f"them; write Effusion|Mass, and set task=image_multilabel"
        ]
    commas = sorted(name for name in names if _DECIMAL_COMMA.fullmatch(name.strip()))
    if commas and all(_NUMBER.fullmatch(name.strip()) for name in names):
        return [
            f"{count_of(len(commas), 'label')} such as {commas[0]!r} have a decimal comma; write a point, and "
            f"set {regression} to learn a number"
        ]
    return []


def doubtful_labels(names: Collection[str], *, none: str | None = None) -> list[str]:
    """Say which of the labels that occur may be the same, or none; of use where ``data.classes`` is not set.

    Parameters
    ----------
    none : str, optional
        What a row without labels says: no label, but not to be mistaken for one.

    Returns
    -------
    list of str
        One sentence for each label, or for those that may be the same.
    """
    keep = "set data.classes to keep"
    found = find_alike([*names, *([none] if none else [])])
    alike = [f"labels {found}; write them in one way, or {keep} them apart"] if found else []
    absent = [
        f"label {name!r} stands for a missing value; drop these rows or fill them, or {keep} it as a class"
        for name in sorted(names)
        if name and is_missing(name)
    ]
    return alike + absent
