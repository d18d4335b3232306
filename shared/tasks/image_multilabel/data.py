"""The labels of images that may have several, or none: ``Effusion|Mass``."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Strata
from shared.data.schema import Schema
from shared.data.sources.healthy import means_none
from shared.data.sources.listing import shown_names
from shared.data.sources.targets import (
    SEVERAL,
    TargetColumn,
    Targets,
    doubtful_labels,
    find_joined,
    not_plain_labels,
)
from shared.runtime.counts import count_of
from shared.runtime.errors import Alike, first_of

Values = npt.NDArray[np.float32]  # [N, labels], 0 or 1
FEWEST = 20  # rows of a stratum of its own; rarer labels are one stratum together
_BY_CHANCE = 1e-6  # a label that shares rows as often as all others is so seldom always alone


def read_labels(column: TargetColumn, problems: list[str], *, separator: str, none: str) -> Targets:
    """Read which of the labels each row has.

    Parameters
    ----------
    separator : str
        Between the labels of a row.
    none : str
        What a row without labels says.

    Returns
    -------
    Targets
        ``values`` [N, labels], float32, 0 or 1. The stratum of a row is the rarest of its labels.
    """
    if column.positive is not None:
        problems.append(
            "data.positive is for two classes, and has no effect on task=image_multilabel; set it to null"
        )
    if column.labels_a_row > 1:
        return _read_indicators(column, problems, none=none)
    found = [[part.strip() for part in text.split(separator)] for text in column.texts]
    names = column.wanted or tuple(sorted({part for parts in found for part in parts} - {"", none}))
    if not column.wanted and (odd := not_plain_labels(column.texts, regression=column.regression)):
        problems += odd
    elif not column.wanted:
        problems += [*doubtful_labels(names, none=none), *_joined_otherwise(names, separator=separator)]
    if len(set(names)) < len(names):
        problems.append(f"data.classes names a label twice: {shown_names(names, most=20)}")
    if not names:
        problems.append(f"no row of column {column.name!r} has a label, only {none!r}")
    numbers = {name: number for number, name in enumerate(names)}
    strangers: dict[str, list[str]] = {}
    both = Alike()
    values = np.zeros((len(found), len(names)), dtype=np.float32)
    for place, (row, parts) in enumerate(zip(column.rows, found, strict=True)):
        if none in parts and len(parts) > 1:
            both.add(f"{row!r} has {none!r} beside other labels; remove one of them")
        for part in parts:
            if part in numbers:
                values[place, numbers[part]] = 1
            elif part != none:
                strangers.setdefault(part, []).append(row)
    problems += both
    problems += first_of(
        f"{row!r} has an empty label; rows without labels say {none!r}" for row in strangers.pop("", [])
    )
    problems += first_of(
        f"label {text!r} is none of {shown_names(names, most=20)} ({count_of(len(rows), 'row')}, the first is "
        f"{rows[0]!r})"
        for text, rows in strangers.items()
    )
    notes = () if column.wanted else _alone(values, names, instead="set task.none='{}'")
    return Targets(values, Schema(classes=names), _strata(values, names, none=none) if names else None, notes)


def _alone(values: Values, names: tuple[str, ...], *, instead: str) -> tuple[str, ...]:
    # Which labels may stand for no finding: they are in rows of their own, where others share theirs. Where no
    # row has several labels, or none, they may all be classes.
    rows, alone = values.sum(axis=0), values[values.sum(axis=1) == 1].sum(axis=0)
    shared = (rows - alone).sum() / max(rows.sum(), 1)  # of all labels, those that stand beside another
    found = [
        f"label {name!r} stands in {count_of(int(rows[at]), 'row')} and never beside another: it is learned "
        f"as a finding; if it says that there is none, {instead.format(name)}"
        for at, name in enumerate(names)
        if rows[at] == alone[at] and (means_none(name) or (1 - shared) ** rows[at] < _BY_CHANCE)
    ]
    if len(names) > 1 and len(values) and (values.sum(axis=1) == 1).all():
        found.append(
            "every row has exactly one label: if the labels exclude each other, they are classes, and "
            "task=image_classification learns them"
        )
    return tuple(found)


def _joined_otherwise(names: Collection[str], *, separator: str) -> list[str]:
    found = find_joined(names)
    if found is None:
        return []
    return [
        f"{count_of(found.number, 'label')} such as {found.example!r} are others joined by "
        f"{found.separator!r}, and task.separator is {separator!r}; set task.separator='{found.separator}', or "
        f"data.classes to keep them as labels"
    ]


def _read_indicators(column: TargetColumn, problems: list[str], *, none: str) -> Targets:
    values = np.array([text.split(SEVERAL) for text in column.texts]).astype(np.int64)
    count = values.shape[1]
    names = column.wanted or column.classes or tuple(map(str, range(count)))
    if len(names) != count:
        problems.append(
            f"there are {count} labels an image, and {len(names)} names: {shown_names(names, most=20)}; set "
            f"data.classes"
        )
    if len(set(names)) < len(names):
        problems.append(f"data.classes names a label twice: {shown_names(names, most=20)}")
    wrong = np.flatnonzero(((values < 0) | (values > 1)).any(axis=1))
    problems += first_of(
        f"{column.rows[row]!r} has the labels {column.texts[row]}, expected 0 and 1" for row in wrong.tolist()
    )
    own = values.astype(np.float32)
    notes = _alone(own, names, instead="leave out its column")
    return Targets(own, Schema(classes=names), None if problems else _strata(own, names, none=none), notes)


def _strata(values: Values, names: tuple[str, ...], *, none: str) -> Strata:
    counts = values.sum(axis=0)
    rarest = np.where(values > 0, counts, np.inf).argmin(axis=1)
    numbers = np.where(values.any(axis=1), rarest, len(names)).astype(np.int64)
    few = np.bincount(numbers, minlength=len(names) + 1) < FEWEST
    numbers = np.where(few[numbers], len(names) + 1, numbers)
    return Strata(numbers, (*names, none, "rare labels"), noun="label", on_every_side=False)
