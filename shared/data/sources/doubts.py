"""Labels and numbers that may stand for a missing value, or for one another: for notes, not for errors."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from shared.data.sources.spelling import may_be_missing

_SAME = ({"true", "yes", "y", "t", "1"}, {"false", "no", "n", "f", "0"})  # answers, each in several words
_NEARLY_NUMBER = re.compile(r"([<>≤≥~]?=?)\s*([+−–-]?\d[\d., _]*)\s*(%|[^\W\d_][^\d]{0,11})?")
_SENTINEL = re.compile(r"-1|-?9+")  # as registries code what nobody knows


def doubtful_classes(names: Collection[str], *, regression: str = "task=image_regression") -> list[str]:
    """Say which classes may be none, may be the same, or are numbers with fractions.

    Parameters
    ----------
    regression : str
        The setting that learns a number.

    Returns
    -------
    list of str
        A sentence for each kind.
    """
    notes = []
    if absent := [name for name in sorted(names) if may_be_missing(name) or _is_code(name, names)]:
        notes.append(
            f"read as a class: {', '.join(map(repr, absent))}; drop its rows if it stands for a missing value"
        )
    for words in _SAME:
        if len(same := [name for name in sorted(names) if name.casefold() in words]) > 1:
            notes.append(f"read as classes of their own, and may be the same: {', '.join(map(repr, same))}")
    numbers = [number_of(name) for name in names]
    if numbers and all(map(math.isfinite, numbers)) and any(value % 1 for value in numbers):
        notes.append(
            f"all {len(numbers)} labels are numbers with fractions and read as classes; {regression} "
            f"learns a number"
        )
    return notes


def doubtful_numbers(
    values: Sequence[float] | npt.NDArray[np.floating],
    column: str,
    *,
    zero: bool = False,
    way: str = "drop these rows if it stands for a missing value",
) -> list[str]:
    """Say which number at an end of the range may stand for a missing value.

    It is -1 or of nines, occurs more than once, and is the only one of its sign or lies farther from its
    neighbour than any two others.

    Parameters
    ----------
    values : sequence of float, N
        Finite.
    column : str
        The column's name.
    zero : bool
        Whether 0 may stand for one too.
    way : str
        What to do; ``NUMBER`` in it is the number.

    Returns
    -------
    list of str
        A sentence for each.
    """
    known, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    notes = []
    for end, inner in ((0, known[1:]), (len(known) - 1, known[:-1])):
        if len(inner) < 2 or counts[end] < 2:
            continue
        text = f"{known[end]:.12g}"
        if not _SENTINEL.fullmatch(text) and not (zero and text == "0"):
            continue
        gap = abs(known[end] - (inner[0] if end == 0 else inner[-1]))
        if (known[end] < 0 <= inner[0]) or gap > np.diff(inner).max():
            notes.append(
                f"{counts[end]} rows have {column} {known[end]:g}, far from all others ({inner[0]:g} to "
                f"{inner[-1]:g}) and read as a number; {way.replace('NUMBER', text)}"
            )
    return notes


def number_of(text: str) -> float:
    """The number that a text is; NaN if it is none, as ``1_000`` is only in Python's code."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def number_hint(text: str) -> str:
    """How a text that is no number could be written as one.

    Returns
    -------
    str
        Such as ``: write 12 without %``; empty where the text is nothing like a number.
    """
    found = _NEARLY_NUMBER.fullmatch(text.strip())
    if found is None:
        return ""
    before, number, after = found.groups()
    if before:
        return ": a bound is no number; decide which one stands for it"
    if after == "%":
        return f": write {number.strip()} without %"
    if any(sign in text for sign in "−–"):
        return ": its minus sign is another character; write -"
    if "," in number or "_" in number or " " in number.strip():
        return ": write it with a decimal point and no other marks, such as 1234.5"
    return f": write {number.strip()}, and the unit in the name of the column" if after else ""


def _is_code(name: str, names: Collection[str]) -> bool:
    # Of the numbers 0 to 9, the 9 is a label as others are.
    if len(names) < 3 or not _SENTINEL.fullmatch(name):
        return False
    value = int(name)
    return value == -1 or str(value - (1 if value > 0 else -1)) not in names
