"""`Cells`: the values of one column while a file is read: numbers, texts by number, and what is neither."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared.data.sources.doubts import number_of
from shared.data.sources.spelling import is_missing

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """How texts of a column become values.

    Attributes
    ----------
    as_text : bool
        Its texts are levels, also where they are numbers.
    keep_text : bool
        Keep every text: it tells rows apart, or is the target.
    missing : frozenset of str
        Texts for a missing value beside the usual ones, in lower case.
    decimal : {".", ","}
    """

    as_text: bool = False
    keep_text: bool = False
    missing: frozenset[str] = frozenset()
    decimal: str = "."

    def lacks(self, text: str) -> bool:
        """Whether a text stands for a missing value."""
        return (
            is_missing(text)
            or text.strip().casefold() in self.missing
            or number_of(text) in self.missing_numbers
        )

    @cached_property
    def missing_numbers(self) -> frozenset[float]:
        """Those that are numbers: where -9 is missing, so is -9.0."""
        return frozenset(number for number in map(number_of, self.missing) if np.isfinite(number))


@dataclass
class Cells:
    """One column while it is read.

    Attributes
    ----------
    levels : dict of str to int
        Texts that are no numbers (with ``reading.as_text`` all), in the order in which they came.
    first : dict of str to int
        The first row of each of them.
    code : str
        A number that is written as no amount is, such as ``007``; empty where there is none.
    inexact : str
        A whole number from 2**53 on, among which 64-bit numbers leave some out; empty where there is none.
    absent : set of str
        Texts that were taken for a missing value, such as ``-``.
    """

    reading: Reading
    levels: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    code: str = ""
    inexact: str = ""
    absent: set[str] = field(default_factory=set)
    _numbers: list[Floats] = field(default_factory=list)
    _codes: list[npt.NDArray[np.int32]] = field(default_factory=list)
    _texts: list[str] = field(default_factory=list)
    _rows: int = 0

    def add(self, values: Sequence[str] | Floats) -> None:
        """Add the next rows.

        Parameters
        ----------
        values : sequence of str, or ndarray [n], float64
            Of texts, empty ones are missing; of numbers, NaN.
        """
        if isinstance(values, np.ndarray):
            kept = np.where(self._lacking(values), np.nan, values)
            self._numbers.append(kept)
            self.inexact = self.inexact or next((f"{value:.0f}" for value in kept[_beyond(kept)].tolist()), "")
            self._codes.append(np.full(len(values), -1, dtype=np.int32))
        else:
            self._add_texts(values)
        self._rows += len(values)

    def _add_texts(self, texts: Sequence[str]) -> None:
        size, reading = len(texts), self.reading
        if reading.keep_text:
            self._texts += texts
        numbers = np.full(size, np.nan)
        if not reading.as_text:
            written: Any = pd.Series(texts, dtype=object)
            if reading.decimal != ".":
                # A point between thousands must not become the decimal one.
                written = written.where(~written.str.contains(".", regex=False), "x")
                written = written.str.replace(reading.decimal, ".", regex=False)
            numbers = np.array(pd.to_numeric(written, errors="coerce"), dtype=np.float64)
            if not self._rows:  # one block tells
                self.code = next(
                    (text for text in texts if text.isdecimal() and text.lstrip("0") != text != "0"), ""
                )
            numbers[self._lacking(numbers)] = np.nan
            large = (texts[place] for place in np.flatnonzero(_beyond(numbers)).tolist())
            self.inexact = self.inexact or next((text for text in large if text.lstrip("+-").isdecimal()), "")
        codes = np.full(size, -1, dtype=np.int32)
        for place in np.flatnonzero(np.isnan(numbers)).tolist():
            text = texts[place]
            code = self.levels.get(text)
            if code is None:
                if reading.lacks(text):
                    if text:
                        self.absent.add(text)
                    continue
                code = self.levels[text] = len(self.levels)
                self.first[text] = self._rows + place
            codes[place] = code
        self._numbers.append(numbers)
        self._codes.append(codes)

    def _lacking(self, numbers: Floats) -> npt.NDArray[np.bool_]:
        return np.isin(numbers, [*self.reading.missing_numbers])

    @property
    def numbers(self) -> Floats:
        """The numbers [N], NaN where there is none."""
        return np.concatenate(self._numbers) if self._numbers else np.zeros(0)

    @property
    def codes(self) -> npt.NDArray[np.int32]:
        """Of each row, the place of its text among ``levels`` [N]; -1 where it is a number, or missing."""
        return np.concatenate(self._codes) if self._codes else np.zeros(0, dtype=np.int32)

    @property
    def texts(self) -> list[str]:
        """All texts, as written; of a column that keeps none, of each row the one that says the same."""
        if self.reading.keep_text and len(self._texts) == self._rows:
            return self._texts
        names = [*self.levels, ""]  # -1 is the last
        return [names[code] for code in self.codes.tolist()]


def _beyond(numbers: Floats) -> npt.NDArray[np.bool_]:
    """Numbers that may stand for several whole ones, up to those that no id has; false for NaN."""
    size = np.abs(numbers)
    return np.asarray((size >= 2**53) & (size < 2**64))


def lower_case(texts: Collection[str]) -> frozenset[str]:
    """Texts as `Reading` compares them."""
    return frozenset(text.strip().casefold() for text in texts)
