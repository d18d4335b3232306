"""The labels of images: one of several classes each."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from shared.data.dataset import Strata
from shared.data.schema import Schema
from shared.data.sources.doubts import doubtful_classes
from shared.data.sources.healthy import means_none, same_none
from shared.data.sources.listing import shown_names
from shared.data.sources.spelling import side_of
from shared.data.sources.targets import (
    SEVERAL,
    TargetColumn,
    Targets,
    doubtful_labels,
    find_joined,
    not_plain_labels,
)
from shared.data.sources.typos import likely_typos
from shared.runtime.counts import count_of
from shared.runtime.errors import first_of

_MOST_NUMBERS = 10  # as of digits


def joined_findings(names: Collection[str], column: TargetColumn) -> list[str]:
    """Say that labels are several findings each, such as ``Effusion|Mass`` beside ``Mass``; of images only.

    Returns
    -------
    list of str
        One sentence, or none: names that merely hold a separator are classes.
    """
    if found := not_plain_labels(names, regression=column.regression):
        return found
    if column.noun != "image":
        return []
    joined = find_joined(names)
    if joined is None:
        return []
    setting = "" if joined.separator == "|" else f" task.separator='{joined.separator}'"
    return [
        f"{count_of(joined.number, 'label')} such as {joined.example!r} are several findings joined by "
        f"{joined.separator!r}; set task=image_multilabel{setting} to learn each finding, or data.classes to "
        f"keep them as classes"
    ]


def read_classes(column: TargetColumn, problems: list[str]) -> Targets:
    """Number the labels.

    Returns
    -------
    Targets
        ``values`` [N], int64. Names are those that are configured, else those that the source knows, else the
        sorted labels that occur.
    """
    if column.labels_a_row > 1:
        found = f"there are {column.labels_a_row} labels an image, and task=image_classification takes one; "
        instead = "set task=image_multilabel"
        if all(text.split(SEVERAL).count("1") == 1 for text in column.texts):
            found += "each row has a single 1: for classes, store their numbers (labels.argmax(axis=1)), else "
        problems.append(found + instead)
        return Targets(np.zeros(len(column.texts), dtype=np.int64), Schema(), None)
    names = column.wanted or column.classes or tuple(sorted(set(column.texts) - {""}))
    numbers_as_text = tuple(map(str, range(len(names))))
    # Of numbered labels, [1, 0] is an order of the numbers, and no new name for each.
    named = set(column.wanted or ()) == set(column.texts)  # data.classes=[5,7] of the labels 5 and 7
    numbered = column.numbered and not named and set(names) != set(numbers_as_text)
    known = numbers_as_text if numbered else names
    if not column.wanted and not column.classes:
        names = known
    if not column.wanted and not column.numbered:
        problems += [*doubtful_labels(names), *joined_findings(names, column)]
    if len(set(names)) < len(names):
        problems.append(f"data.classes names a class twice: {shown_names(names, most=20)}")
    if len(names) < 2:
        problems.append(
            f"at least two classes are needed, got {shown_names(names) or 'no label'}; data.classes names "
            f"those that only other sites have"
        )
    numbers = {name: number for number, name in enumerate(known)}
    strangers: dict[str, list[str]] = {}
    for row, text in zip(column.rows, column.texts, strict=True):
        if text not in numbers:
            strangers.setdefault(text, []).append(row)
    problems += first_of(f"{row!r} has no label" for row in strangers.pop("", []))
    wanted = f"the numbers 0 to {len(names) - 1}" if column.numbered else ", ".join(map(repr, known))
    problems += first_of(
        f"label {text!r} is none of {wanted} ({count_of(len(found), 'row')}, the first is {found[0]!r})"
        for text, found in strangers.items()
    )
    if (
        strangers
        and column.numbered
        and len(there := sorted(set(column.texts), key=_by_number)) <= _MOST_NUMBERS
    ):
        problems.append(f"data.classes=[{','.join(there)}] would read these numbers as the classes")
    values = np.array([numbers.get(text, -1) for text in column.texts], dtype=np.int64)
    if column.positive is not None:
        if len(names) != 2 or column.positive not in names:
            problems.append(
                f"data.positive={column.positive} names one of two classes, and the classes are "
                f"{', '.join(map(repr, names))}"
            )
        elif column.positive == names[0]:  # the positive class is the last one, everywhere
            names, values = names[::-1], np.where(values < 0, values, 1 - values)
    strata = Strata(np.maximum(values, 0), names) if names else None
    notes = () if column.wanted else _doubts(names, column)
    return Targets(values, Schema(classes=names), strata, notes)


def _doubts(names: tuple[str, ...], column: TargetColumn) -> tuple[str, ...]:
    chosen, numbered = column.positive is not None, column.numbered
    notes = [
        f"read as classes of their own, and {rare!r} may be {common!r} mistyped: write them in one way"
        for rare, common in likely_typos(column.texts)
    ]
    if same := same_none(names):
        notes.append(
            f"read as classes of their own, and all may say that nothing was found: {shown_names(same)}; write "
            f"them in one way if they mean the same"
        )
    if names and all(map(side_of, names)):
        notes.append(
            f"all labels are words for sides of a split ({', '.join(names)}): is "
            f"{'data.columns.label' if column.noun == 'image' else 'data.target'} another column?"
        )
    if len(names) == 2 and not chosen and means_none(names[1], names[0]) and not means_none(*names):
        notes.append(
            f"the positive class is {names[1]!r}, as the last of the two: recall and precision are of it; "
            f"data.positive={names[0]} chooses the other"
        )
    if not numbered:
        notes += doubtful_classes(names, regression=column.regression)
    if len(names) > _MOST_NUMBERS and not numbered and all(name.isdecimal() for name in names):
        notes.append(
            f"all {len(names)} labels are numbers and read as classes; {column.regression} learns a number"
        )
    return tuple(notes)


def _by_number(text: str) -> tuple[int, str]:
    return len(text), text
