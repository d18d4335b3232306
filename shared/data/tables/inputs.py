"""`read_input`: of a column's cells, the numbers that a model can take, and what kind of column it is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shared.config.overrides import escaped
from shared.config.table_data import TableDataConfig
from shared.data.schema import Column
from shared.data.sources.doubts import number_hint, number_of
from shared.data.sources.spelling import find_alike
from shared.data.tables.cells import Cells
from shared.runtime.counts import count_of

Floats = npt.NDArray[np.float64]

_TRUE, _FALSE = {"true", "yes", "t", "y"}, {"false", "no", "f", "n"}
_ANSWERS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
_TIME = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}|\d{4}-\d{2}|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}([,.' \u00a0\u2019])\d{3}(\1\d{3})*([.,]\d+)?")
_SHOWN = 5  # texts in a sentence
_LARGEST = 1e100  # whose squares can be added up


class NameRow(Protocol):
    """Says which row a place is."""

    def __call__(self, place: int) -> str:
        """Such as ``line 7``."""
        ...


@dataclass(frozen=True)
class Input:
    """One input column.

    Attributes
    ----------
    column : Column
    values : ndarray [N], float64
        Numbers, 0 and 1, or numbers of levels; NaN where a value is missing.
    """

    column: Column
    values: Floats


def read_input(
    name: str, cells: Cells, *, cfg: TableDataConfig, row: NameRow, problems: list[str], notes: list[str]
) -> Input | None:
    """Find out what kind of column it is, and read it.

    Parameters
    ----------
    problems, notes : list of str
        Take a sentence for each thing that is wrong, or that people should know.

    Returns
    -------
    Input or None
        None where it is no input: the problems say why.
    """
    wanted = cfg.kinds.get(name) or ("categorical" if name in cfg.levels else None)
    numbers, texts = cells.numbers, [*cells.levels]
    found = int(np.isfinite(numbers).sum())
    if bad := np.flatnonzero(np.abs(numbers) > _LARGEST).tolist():  # false for NaN
        problems.append(
            f"column {name!r} is infinite, or beyond {_LARGEST:g}, in {count_of(len(bad), 'row')}, the first "
            f"is {row(bad[0])}; write a number, or leave the cell empty"
        )
        return None
    words = {text.casefold() for text in texts}
    if wanted == "categorical":
        return _categorical(name, cells, cfg=cfg, row=row, problems=problems)
    if wanted == "boolean" or (wanted is None and not found and _are_answers(words)):
        return _boolean(name, cells, row=row, problems=problems)
    if cells.inexact and wanted is None:
        problems.append(
            f"column {name!r} holds {cells.inexact}, and whole numbers beyond 2**53 (9e15) are not all told "
            f"apart as numbers; of ids set {to_drop(name)}, or {to_set('kinds', name, 'categorical')}; of "
            f"amounts {to_set('kinds', name, 'numeric')}"
        )
        return None
    if not texts:
        if not found:
            notes.append(f"column {name!r} has no value in any row")
        return Input(Column(name, "numeric"), numbers)
    if found or wanted == "numeric":
        places = ", ".join(f"{text!r} ({row(cells.first[text])})" for text in texts[:_SHOWN])
        more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
        count = int((cells.codes >= 0).sum())
        shown = texts[:100]
        thousands = [text for text in shown if _THOUSANDS.fullmatch(text)]
        comma = any(_has_decimal_comma(text) for text in shown if text not in thousands)
        if comma and cfg.decimal == ".":
            way = "data.decimal=',' reads decimal commas"
        elif thousands:
            way = f"write {thousands[0]!r} without marks between thousands"
        else:
            way = (
                f"mend them, name texts for missing values in data.missing_values, or set "
                f"{to_set('kinds', name, 'categorical')}"
            )
        problems.append(f"column {name!r} holds numbers and {count_of(count, 'text')}: {places}{more}; {way}")
        return None
    if cfg.decimal == "," and all(math.isfinite(number_of(text)) for text in texts):
        problems.append(
            f"column {name!r} holds numbers with a decimal point, such as {texts[0]!r}, and data.decimal is ','"
        )
        return None
    if all(map(_THOUSANDS.fullmatch, texts)):
        problems.append(
            f"column {name!r} holds numbers with marks between thousands, such as {texts[0]!r}; write them "
            f"without, or set {to_set('kinds', name, 'categorical')}"
        )
        return None
    if cfg.decimal == "." and all(map(_has_decimal_comma, texts)):
        problems.append(
            f"column {name!r} holds numbers with a decimal comma, such as {texts[0]!r}; data.decimal=',' reads "
            f"them, {to_set('kinds', name, 'categorical')} keeps them as levels"
        )
        return None
    if all(map(_is_time, texts[:100])):
        problems.append(
            f"column {name!r} holds times, which are no input; name it in data.columns.time or data.drop"
        )
        return None
    return _categorical(name, cells, cfg=cfg, row=row, problems=problems)


def _categorical(
    name: str, cells: Cells, *, cfg: TableDataConfig, row: NameRow, problems: list[str]
) -> Input | None:
    texts = [*cells.levels]
    if len(texts) > cfg.max_levels and name not in cfg.levels:
        problems.append(
            f"column {name!r} holds {len(texts)} different texts in {len(cells.codes)} rows, such as "
            f"{texts[0]!r}{number_hint(texts[0])}: an id or free text is no input ({to_drop(name)}); of a "
            f"category, raise data.max_levels={cfg.max_levels}"
        )
        return None
    if alike := find_alike(texts):
        problems.append(f"levels of column {name!r} {alike}; write each in one way")
        return None
    levels = cfg.levels.get(name) or tuple(sorted(texts, key=_by_number))
    if strangers := [text for text in texts if text not in levels]:
        count = int(np.isin(cells.codes, [cells.levels[text] for text in strangers]).sum())
        problems.append(
            f"column {name!r} holds {', '.join(map(repr, strangers[:_SHOWN]))} in {count_of(count, 'row')}, "
            f"the first is {row(cells.first[strangers[0]])}; data.levels.{name} names "
            f"{', '.join(map(repr, levels[:20]))}"
        )
        return None
    numbers = np.array([*(levels.index(text) for text in texts), np.nan])  # the last for a missing value
    return Input(Column(name, "categorical", tuple(levels)), numbers[cells.codes])


def _boolean(name: str, cells: Cells, *, row: NameRow, problems: list[str]) -> Input | None:
    values = cells.numbers.copy()
    wrong = [text for text in cells.levels if text.casefold() not in _TRUE | _FALSE]
    others = np.flatnonzero(~np.isnan(values) & (values != 0) & (values != 1))
    if wrong or len(others):
        first = repr(wrong[0]) if wrong else f"{values[others[0]]:g}"
        where = row(cells.first[wrong[0]]) if wrong else row(int(others[0]))
        problems.append(
            f"column {name!r} holds {first} ({where}), expected true, false, yes, no, 1 or 0, or an empty cell"
        )
        return None
    truth = np.array([*(float(text.casefold() in _TRUE) for text in cells.levels), np.nan])
    known = cells.codes >= 0
    values[known] = truth[cells.codes[known]]
    return Input(Column(name, "boolean"), values)


def _by_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return np.inf, text


def _are_answers(words: set[str]) -> bool:
    """Whether texts are yes and no, in one way of writing it; one letter alone may be anything."""
    pairs = [pair for pair in _ANSWERS if words and words <= pair]
    return bool(pairs) and (len(words) == 2 or len(next(iter(words))) > 1)


def _has_decimal_comma(text: str) -> bool:
    whole, _, part = text.lstrip("+-").partition(",")
    return whole.isdecimal() and part.isdecimal()


def _is_time(text: str) -> bool:
    if _TIME.fullmatch(text):
        return True
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return not text.isdecimal()


def to_drop(column: str) -> str:
    """How a column is left out."""
    return f"data.drop=[{column}]" if re.fullmatch(r"[^\W\d]\w*", column) else f"'data.drop=[\"{column}\"]'"


def to_set(setting: str, column: str, value: str) -> str:
    """How a setting of one column is typed in a shell: ``data.kinds.age=categorical``."""
    if re.fullmatch(r"[^\W\d]\w*", column):
        return f"data.{setting}.{column}={value}"
    return f"'data.{setting}={{{escaped(column)}: {value}}}'"


def constant_columns(inputs: Sequence[Input]) -> list[str]:
    """The names of columns that have the same value in every row."""
    return [
        one.column.name
        for one in inputs
        if len(one.values) and not np.isnan(one.values).any() and np.ptp(one.values) == 0
    ]
