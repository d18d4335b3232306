"""What inputs may be other than they are read as: for notes, not for errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from shared.data.dataset import SIDES
from shared.data.sources.doubts import doubtful_numbers, number_hint
from shared.data.sources.spelling import may_be_missing
from shared.data.tables.inputs import Input, to_set
from shared.runtime.counts import count_of

_FEW = 10  # different whole numbers that may be levels
_MANY = 30  # rows from which their number says something


def doubts(inputs: Sequence[Input], *, codes: Mapping[str, str], kinds: Mapping[str, str]) -> list[str]:
    """Say which numbers may be levels, codes or stand for missing values, and which levels may be numbers.

    Parameters
    ----------
    codes : mapping of str to str
        By column, a number that is written as no amount is, or nothing.
    kinds : mapping of str to str
        What somebody has said of columns, which are not doubted.
    """
    notes, few = [], []
    for one in inputs:
        name, values = one.column.name, one.values[~np.isnan(one.values)]
        if name in kinds:
            continue
        if one.column.kind == "numeric":
            if code := codes.get(name):
                notes.append(
                    f"column {name!r} holds {code}, as codes are written, and is read as numbers; "
                    f"{to_set('kinds', name, 'categorical')} reads levels"
                )
            elif _may_be_levels(values):
                few.append(f"{name!r} ({len(np.unique(values))} values)")
            way = f"{to_set('missing_in', name, '[NUMBER]')} if it stands for a missing value"
            notes += doubtful_numbers(values, name, zero=True, way=way)
        elif one.column.kind == "categorical":
            if absent := [level for level in one.column.levels if may_be_missing(level)]:
                notes.append(
                    f"column {name!r} has the level {', '.join(map(repr, absent))}; data.missing_values names "
                    f"it if it stands for a missing value"
                )
            if nearly := [level for level in one.column.levels if number_hint(level)]:
                notes.append(
                    f"column {name!r} is read as {len(one.column.levels)} levels, and {nearly[0]!r} is nearly "
                    f"a number{number_hint(nearly[0])}"
                )
    if few:
        notes.append(
            f"numbers with few values, read as numbers: {', '.join(few)}; data.kinds.NAME=categorical reads "
            f"levels"
        )
    return notes


def unseen_levels(inputs: Sequence[Input], splits: npt.NDArray[np.str_]) -> list[str]:
    """Say which levels occur in no training row: nothing is learned about them."""
    notes = []
    for one in inputs:
        if one.column.kind != "categorical":
            continue
        seen = {*np.unique(one.values[splits == "train"]).tolist()}
        for number, level in enumerate(one.column.levels):
            rows = {side: int((one.values[splits == side] == number).sum()) for side in SIDES}
            if number not in seen and any(rows.values()):
                where = " and ".join(count_of(count, f"{side} row") for side, count in rows.items() if count)
                notes.append(f"level {level!r} of column {one.column.name!r} is in no training row ({where})")
    return notes


def _may_be_levels(values: npt.NDArray[np.float64]) -> bool:
    distinct = np.unique(values)
    whole = bool((distinct == np.floor(distinct)).all())
    return whole and 2 < len(distinct) <= _FEW and len(values) >= _MANY
