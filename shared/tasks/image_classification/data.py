"""The labels of images: one of several classes each."""

from __future__ import annotations

import numpy as np

from shared.data.dataset import Strata
from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets, doubtful_labels


def read_classes(column: TargetColumn, problems: list[str]) -> Targets:
    """Number the labels.

    Returns
    -------
    Targets
        ``values`` [N], int64. Names are those that are configured, else those that the source knows, else the
        sorted labels that occur.
    """
    if column.labels_a_row > 1:
        problems.append(
            f"there are {column.labels_a_row} labels an image, and task=image_classification takes one; set "
            f"task=image_multilabel"
        )
        return Targets(np.zeros(len(column.texts), dtype=np.int64), Schema(), None)
    names = column.wanted or column.classes or tuple(sorted(set(column.texts) - {""}))
    known = tuple(map(str, range(len(names)))) if column.numbered else names
    if not column.wanted and not column.classes:
        names = known
    if not column.wanted and not column.numbered:
        problems += doubtful_labels(names)
    if len(set(names)) < len(names):
        problems.append(f"data.classes names a class twice: {list(names)}")
    if len(names) < 2:
        problems.append(f"at least two classes are needed, got {list(names)}")
    numbers = {name: number for number, name in enumerate(known)}
    strangers: dict[str, list[str]] = {}
    for row, text in zip(column.rows, column.texts, strict=True):
        if text not in numbers:
            strangers.setdefault(text, []).append(row)
    problems += [f"{row!r} has no label" for row in strangers.pop("", [])]
    wanted = f"the numbers 0 to {len(names) - 1}" if column.numbered else ", ".join(map(repr, known))
    problems += [
        f"label {text!r} is none of {wanted} ({len(found)} rows, the first is {found[0]!r})"
        for text, found in strangers.items()
    ]
    values = np.array([numbers.get(text, -1) for text in column.texts], dtype=np.int64)
    strata = Strata(np.maximum(values, 0), names) if names else None
    return Targets(values, Schema(classes=names), strata)
