"""`Table`, the rows of a source as text, and `annotate`: labels, patients, times and splits of these rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.config.data import ColumnsConfig
from shared.data.dataset import Groups, Timeline
from shared.data.sources.columns import find_columns
from shared.data.sources.spelling import find_alike, is_missing, side_of
from shared.data.sources.targets import TargetColumn, TargetReader, Targets
from shared.data.sources.timestamps import read_times
from shared.runtime.errors import MetadataError, bullet_list

PLAIN_COLUMNS = ColumnsConfig(
    filename="filename", label="label", patient_id=None, split="split", site=None, time=None, series=None
)


@dataclass(frozen=True)
class Table:
    """Rows before anyone has judged them.

    Attributes
    ----------
    columns : dict of str to list of str
        Text by column, all of the same length.
    problems : tuple of str
        What is wrong with single rows, found while reading.
    notes : tuple of str
        What was ignored, or understood in a way that people should know.
    """

    columns: dict[str, list[str]]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def take(self, rows: Sequence[int]) -> Table:
        """Some of the rows."""
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        return Table(columns, self.problems, self.notes)


@dataclass(frozen=True)
class Naming:
    """How a source names things.

    Attributes
    ----------
    origin : str
        What messages call the source.
    columns : ColumnsConfig
        Which column plays which part.
    numbered : bool
        Labels are numbers from 0; else they are names.
    classes : tuple of str, optional
        Names of numbered labels, where the source knows them.
    """

    origin: str
    columns: ColumnsConfig = PLAIN_COLUMNS
    numbered: bool = False
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Annotations:
    """What the rows mean.

    Attributes
    ----------
    targets : Targets
        As the task reads them.
    given : ndarray [N], str, or None
        The split that the data comes with, ``train``, ``val`` or ``test``.
    groups : Groups or None
        Patients, numbered from 0 in the order of their sorted names.
    time : Timeline or None
        Series are numbered in the order of their sorted names; one series where no column names them.
    others : dict of str to ndarray [N], str
        The remaining columns.
    notes : tuple of str
        Those of the table, and which columns are read under another name or are not there.
    """

    targets: Targets
    given: npt.NDArray[np.str_] | None
    groups: Groups | None
    time: Timeline | None
    others: dict[str, npt.NDArray[np.str_]]
    notes: tuple[str, ...]


def annotate(
    table: Table, *, naming: Naming, classes: tuple[str, ...] | None, read_targets: TargetReader
) -> Annotations:
    """Read targets, patients, times, splits and other columns from text.

    Parameters
    ----------
    classes : tuple of str, optional
        ``data.classes``: names in the order of their numbers. Without it, the names that the source knows, else
        the sorted labels that occur.
    read_targets : TargetReader
        Of the task.

    Raises
    ------
    MetadataError
        Names every row and every setting that is wrong.
    """
    problems, notes = [*table.problems], [*table.notes]
    roles = naming.columns
    if roles != PLAIN_COLUMNS:  # a source that has no columns of its own names none
        roles = find_columns(table.columns, roles, notes=notes, problems=problems)
    if roles.label not in table.columns:
        raise metadata_error(naming.origin, problems)
    rows = table.columns.get(roles.filename) or [f"row {row}" for row in range(len(table))]
    column = TargetColumn(
        roles.label, table.columns[roles.label], rows, naming.numbered, naming.classes, wanted=classes
    )
    targets = read_targets(column, problems)
    given = _splits(_optional(table, roles.split), rows, roles.split, problems)
    patients = _optional(table, roles.patient_id)
    for name, values in ((roles.split, given), (roles.patient_id, patients)):
        if name in table.columns and values is None:
            notes.append(f"column {name!r} is empty")
    if patients is not None:
        nameless = [row for row, name in zip(rows, patients, strict=True) if is_missing(name)]
        problems += [f"{row!r} has no {roles.patient_id}" for row in nameless]
        if alike := find_alike(patients):
            problems.append(f"values of {roles.patient_id} {alike}; write each patient's id in one way")
    times = None
    if roles.time is not None:
        times = read_times(table.columns.get(roles.time, []), rows=rows, column=roles.time, problems=problems)
    elif roles.series is not None:
        problems.append("data.columns.series has no effect without data.columns.time; set both, or neither")
    if problems:
        raise metadata_error(naming.origin, problems)
    others = {
        name: np.array(values, dtype=np.str_)
        for name, values in table.columns.items()
        if name not in (roles.filename, roles.label, roles.split, roles.patient_id, roles.time)
    }
    if roles.site in others:
        others.setdefault("site", others[roles.site])  # so that partition=natural finds it under its usual name
    groups = None if patients is None else Groups(*_numbered(patients))
    time = None
    if times is not None:
        time = Timeline(times, *_numbered(table.columns[roles.series] if roles.series else [""] * len(table)))
    return Annotations(targets, given, groups, time, others, tuple(notes))


def metadata_error(origin: str, problems: Sequence[str]) -> MetadataError:
    """Put all problems of a source's rows into one error."""
    return MetadataError(f"{origin} cannot be used:\n" + bullet_list(problems))


def _numbered(texts: list[str]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    unique, numbers = np.unique(np.array(texts, dtype=np.str_), return_inverse=True)
    return numbers.astype(np.int64), tuple(map(str, unique))


def _splits(
    texts: list[str] | None, rows: list[str], column: str | None, problems: list[str]
) -> npt.NDArray[np.str_] | None:
    if texts is None:
        return None
    splits = [side_of(text) for text in texts]
    problems += [
        f"{row!r} has {column} {text!r}, expected train, val or test"
        for row, text, split in zip(rows, texts, splits, strict=True)
        if split is None
    ]
    return np.array([split or "" for split in splits], dtype=np.str_)


def _optional(table: Table, column: str | None) -> list[str] | None:
    values = table.columns.get(column) if column else None
    return values if values and any(values) else None
