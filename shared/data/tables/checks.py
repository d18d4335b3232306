"""What makes a model look better than it is: ids and the target among the inputs, rows on two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.data.dataset import SIDES
from shared.data.sources.spelling import name_key
from shared.data.tables.inputs import Input, constant_columns, to_drop, to_set
from shared.runtime.counts import count_of

_FEWEST = 20  # rows from which a column without repeats tells something
_SHOWN, _GAPS = 5, 20  # texts in a sentence; columns in a list
_CLASSES, _OF_EACH = 10, 5  # values up to which a target is a class, and rows of each from which it tells
_ID_NAMES = (
    "id",
    "index",
    "rowid",
    "rownumber",
    "rownr",
    "rowno",
    "nr",
    "no",
    "recordid",
    "caseid",
    "uid",
    "uuid",
)


def id_columns(inputs: Sequence[Input], *, kept: Sequence[str]) -> list[str]:
    """Say which numeric columns number the rows.

    Parameters
    ----------
    kept : sequence of str
        Columns that somebody has said are inputs.

    Returns
    -------
    list of str
        A problem for each: such a column has another whole number in each row, and these follow each other or
        it is called as an id is.
    """
    problems = []
    for one in inputs:
        name, values = one.column.name, one.values
        if name in kept or one.column.kind != "numeric" or len(values) < _FEWEST or np.isnan(values).any():
            continue
        whole = bool((values == np.floor(values)).all()) and len(np.unique(values)) == len(values)
        if whole and (np.ptp(values) == len(values) - 1 or name_key(name) in _ID_NAMES):
            problems.append(
                f"column {name!r} numbers the rows: an id is no input; set {to_drop(name)}, or "
                f"{to_set('kinds', name, 'numeric')} if it is a measurement"
            )
    return problems


def leaks(inputs: Sequence[Input], targets: npt.NDArray[Any], *, target: str, kept: Sequence[str]) -> list[str]:
    """Say which inputs are the target in other words.

    Parameters
    ----------
    targets : ndarray [N] or [N, 1]
        Labels by number, or numbers.
    target : str
        Its name.
    kept : sequence of str
        Columns that somebody has said are inputs.
    """
    wanted = targets.reshape(len(targets)).astype(np.float64)
    problems = []
    for one in inputs:
        there = ~np.isnan(one.values)
        if one.column.name in kept or not _tells(wanted[there]) or 2 * there.sum() < len(there):
            continue
        values = one.values  # as precise as the target is
        if np.issubdtype(targets.dtype, np.floating):
            values = values.astype(targets.dtype).astype(np.float64)
        if _same(values[there], wanted[there]):
            name, rows = one.column.name, "every row" if there.all() else "every row that it is not empty in"
            problems.append(
                f"column {name!r} says in {rows} what the target {target!r} says; set {to_drop(name)}, "
                f"or {to_set('kinds', name, one.column.kind)} if it is known before the target is"
            )
    return problems


def input_notes(inputs: Sequence[Input], *, missing: str, absent: Mapping[str, set[str]]) -> list[str]:
    """What people should know of the inputs: gaps and what is done with them, columns that say nothing.

    Parameters
    ----------
    missing : str
        ``data.missing``, or ``keep``: they stay missing, as trees take them.
    absent : mapping of str to set of str
        By column, the texts that were taken for a missing value.
    """
    notes = []
    for one in inputs:
        gaps = int(np.isnan(one.values).sum())
        if 0 < gaps < len(one.values):
            instead = "no level" if one.column.kind == "categorical" else "the mean of the training rows"
            more = " and an input that says so" if missing == "indicator" else ""
            done = "trees take it as it is" if missing == "keep" else f"{instead} stands in{more}"
            texts = ", ".join(map(repr, sorted(absent.get(one.column.name, ()))[:_SHOWN]))
            written = f", also written {texts}" if texts else ""
            notes.append(
                f"column {one.column.name!r} is empty in {count_of(gaps, 'row')} "
                f"({gaps / len(one.values):.1%}{written}): {done}"
            )
    if len(notes) > _GAPS:
        notes = [*notes[:_GAPS], f"{len(notes) - _GAPS} more columns have gaps, with which the same is done"]
    if constant := constant_columns(inputs):
        more = f" and {len(constant) - _GAPS} more" if len(constant) > _GAPS else ""
        notes.append(f"the same value in every row: {', '.join(map(repr, constant[:_GAPS]))}{more}")
    return notes


def repeated_rows(inputs: npt.NDArray[np.float64], splits: npt.NDArray[np.str_]) -> list[str]:
    """Say how many validation and test rows are equal, in all inputs, to a row that is trained on."""
    if not len(inputs) or not inputs.shape[1]:
        return []
    plain = np.ascontiguousarray(inputs + 0.0)  # -0.0 is 0.0
    _, keys = np.unique(plain.view(np.dtype((np.void, plain.itemsize * plain.shape[1]))), return_inverse=True)
    keys = keys.reshape(-1)
    trained = np.zeros(int(keys.max()) + 1, dtype=bool)
    trained[keys[splits == "train"]] = True
    found = {side: int(trained[keys[splits == side]].sum()) for side in SIDES[1:]}
    told = [f"{count} of {int((splits == side).sum())} {side} rows" for side, count in found.items() if count]
    return [f"the same in all inputs as a training row: {' and '.join(told)}"] if told else []


def _tells(wanted: npt.NDArray[np.float64]) -> bool:
    """Whether another column hardly says the same by chance, as where a class has a row or two."""
    counts = np.unique(wanted, return_counts=True)[1]
    return len(wanted) >= _FEWEST and (len(counts) > _CLASSES or counts.min() >= _OF_EACH)


def _same(values: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> bool:
    """Whether two columns say the same: each value of one goes with one of the other, both ways."""
    if np.array_equal(values, wanted):
        return True
    order = np.lexsort((wanted, values))
    own, other = values[order], wanted[order]
    own_steps, other_steps = np.diff(own) != 0, np.diff(other) != 0
    if not own_steps.any() or not other_steps.any() or bool((other_steps & ~own_steps).any()):
        return False
    distinct = int(own_steps.sum()) + 1
    return distinct == len(np.unique(wanted)) and distinct < len(values)
