"""`Dataset`: rows with what splits and partitions need to know of them, whatever a row is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.data.schema import Schema

SIDES = ("train", "val", "test")

Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Strata:
    """What splits and partitions stratify by: labels, bins of a target, series.

    Attributes
    ----------
    numbers : ndarray [N], int64
        The stratum of each row, from 0.
    names : tuple of str
        By number.
    noun : str
        What one of them is, for messages: ``class``, ``bin``, ``series``.
    on_every_side : bool
        Whether a split must put rows of each on every side. Labels must be everywhere, or metrics are not
        defined; bins need not.
    """

    numbers: Ints
    names: tuple[str, ...]
    noun: str = "class"
    on_every_side: bool = True

    def __post_init__(self) -> None:
        numbers = self.numbers
        assert not len(numbers) or 0 <= numbers.min() <= numbers.max() < len(self.names), np.unique(numbers)

    @property
    def plural(self) -> str:
        """What several of them are."""
        return self.noun if self.noun == "series" else f"{self.noun}{'es' if self.noun.endswith('s') else 's'}"


@dataclass(frozen=True)
class Groups:
    """Rows that belong together and are never divided, such as those of one patient or of one machine.

    Attributes
    ----------
    numbers : ndarray [N], int64
        The group of each row, from 0.
    names : tuple of str
        By number.
    noun : str
        What one of them is, for messages.
    """

    numbers: Ints
    names: tuple[str, ...]
    noun: str = "patient"


@dataclass(frozen=True)
class Timeline:
    """When each row was measured, and in which series.

    Attributes
    ----------
    times : ndarray [N], int64
        Microseconds since 1970 in UTC, or any other count: only their order matters.
    series : ndarray [N], int64
        The series of each row, from 0.
    names : tuple of str
        Of the series, by number.
    """

    times: Ints
    series: Ints
    names: tuple[str, ...]


@dataclass(frozen=True)
class Blocks:
    """Stretches of time whose rows depend on each other: intervals leave out all rows of one together.

    Attributes
    ----------
    numbers : ndarray [N], int64
        The unit of time of each row, such as its day.
    span : int
        Units of a stretch; one begins at each unit (moving blocks).
    noun : str
        What one of them is, with its length: ``7-d block``.
    """

    numbers: Ints
    span: int
    noun: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Rows of any kind; row ``i`` of every array is the same row. Kinds of data add their own arrays.

    Attributes
    ----------
    schema : Schema
        What a row holds; alike on the server and at all clients.
    targets : ndarray [N, ...]
        What is to be predicted of each row; [N, 0] where nothing is.
    splits : ndarray [N], str
        The side of each row: ``train``, ``val`` or ``test``.
    blocks : Blocks, optional
        Of rows in the order of time, which do not vary independently.
    columns : mapping of str to ndarray [N], str
        Further columns by name, for the natural partition.
    fingerprint : str
        Hex key of content and preprocessing.
    skipped : int
        Rows of the source that were dropped because they could not be read.
    origin, layout : str
        Where the rows come from, and how it was understood, for people; empty where that is not known.
    facts : mapping of str to str
        What else was found while reading, by what it is: ``{"pixels": "8 bit, 0 to 255"}``.
    notes : tuple of str
        What was ignored, merged, dropped, or understood in a way that people should know.
    agreed : mapping
        What a model must know of these rows, in JSON's types; it is recorded with the run and never sent.
    """

    schema: Schema
    targets: npt.NDArray[Any]
    splits: Texts
    strata: Strata | None = None
    groups: Groups | None = None
    time: Timeline | None = None
    blocks: Blocks | None = None
    columns: Mapping[str, Texts] = field(default_factory=dict)
    fingerprint: str = ""
    skipped: int = 0
    origin: str = ""
    layout: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    agreed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = [part for part in (self.strata, self.groups) if part is not None]
        lengths = {len(self.splits), len(self.targets), *(len(part.numbers) for part in parts)}
        assert len(lengths) == 1, lengths
        assert set(np.unique(self.splits)) <= set(SIDES), np.unique(self.splits)

    def __len__(self) -> int:
        return len(self.splits)

    def indices(self, side: str) -> Ints:
        """Rows of one side.

        Parameters
        ----------
        side : {"train", "val", "test"}

        Returns
        -------
        ndarray [n], int64
            Ascending; not to be written to.
        """
        return self._rows[side]

    def rows(self, side: str, own: Ints | None) -> Ints:
        """Rows of one side that a client holds; test rows are the same for all.

        Parameters
        ----------
        side : {"train", "val", "test"}
        own : ndarray [n], int64, or None
            The client's rows; None: all.

        Returns
        -------
        ndarray [n], int64
            Ascending.
        """
        rows = self.indices(side)
        return rows if own is None or side == "test" else np.intersect1d(rows, own, assume_unique=True)

    @cached_property
    def _rows(self) -> dict[str, Ints]:
        rows = {side: np.flatnonzero(self.splits == side).astype(np.int64) for side in SIDES}
        for indices in rows.values():
            indices.flags.writeable = False
        return rows
