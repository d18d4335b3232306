"""The labels of images that may have several, or none: ``Effusion|Mass``."""

from __future__ import annotations

import numpy as np

from shared.data.dataset import Strata
from shared.data.schema import Schema
from shared.data.sources.targets import SEVERAL, TargetColumn, Targets, doubtful_labels

FEWEST = 20  # rows of a stratum of its own; rarer labels are one stratum together


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
    if column.labels_a_row > 1:
        return _read_indicators(column, problems, none=none)
    found = [[part.strip() for part in text.split(separator)] for text in column.texts]
    names = column.wanted or tuple(sorted({part for parts in found for part in parts} - {"", none}))
    if not column.wanted:
        problems += doubtful_labels([*names, none])
    if len(set(names)) < len(names):
        problems.append(f"data.classes names a label twice: {list(names)}")
    if not names:
        problems.append(f"no row of column {column.name!r} has a label, only {none!r}")
    numbers = {name: number for number, name in enumerate(names)}
    strangers: dict[str, list[str]] = {}
    values = np.zeros((len(found), len(names)), dtype=np.float32)
    for place, (row, parts) in enumerate(zip(column.rows, found, strict=True)):
        if none in parts and len(parts) > 1:
            problems.append(f"{row!r} has {none!r} beside other labels")
        for part in parts:
            if part in numbers:
                values[place, numbers[part]] = 1
            elif part != none:
                strangers.setdefault(part, []).append(row)
    problems += [
        f"{row!r} has an empty label; rows without labels say {none!r}" for row in strangers.pop("", [])
    ]
    problems += [
        f"label {text!r} is none of {', '.join(map(repr, names))} ({len(rows)} rows, the first is {rows[0]!r})"
        for text, rows in strangers.items()
    ]
    return Targets(values, Schema(classes=names), _strata(values, names, none=none) if names else None)


def _read_indicators(column: TargetColumn, problems: list[str], *, none: str) -> Targets:
    values = np.array([text.split(SEVERAL) for text in column.texts]).astype(np.int64)
    count = values.shape[1]
    names = column.wanted or column.classes or tuple(map(str, range(count)))
    if len(names) != count:
        problems.append(
            f"there are {count} labels an image, and {len(names)} names: {list(names)}; set data.classes"
        )
    if len(set(names)) < len(names):
        problems.append(f"data.classes names a label twice: {list(names)}")
    wrong = np.flatnonzero(((values < 0) | (values > 1)).any(axis=1))
    problems += [
        f"{column.rows[row]!r} has the labels {column.texts[row]}, expected 0 and 1" for row in wrong.tolist()
    ]
    own = values.astype(np.float32)
    return Targets(own, Schema(classes=names), None if problems else _strata(own, names, none=none))


def _strata(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], names: tuple[str, ...], *, none: str
) -> Strata:
    counts = values.sum(axis=0)
    rarest = np.where(values > 0, counts, np.inf).argmin(axis=1)
    numbers = np.where(values.any(axis=1), rarest, len(names)).astype(np.int64)
    few = np.bincount(numbers, minlength=len(names) + 1) < FEWEST
    numbers = np.where(few[numbers], len(names) + 1, numbers)
    return Strata(numbers, (*names, none, "rare labels"), noun="label", on_every_side=False)
