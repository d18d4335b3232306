"""`Table`, the rows of a source as text, and `annotate`: labels, patients, times and splits of these rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.config.data import ColumnsConfig
from shared.data.dataset import Groups, Timeline
from shared.data.sources.columns import find_columns
from shared.data.sources.folders import patients_by_folders, split_by_folders
from shared.data.sources.hints import column_hints
from shared.data.sources.patient_ids import shortened_ids, visits_in_ids
from shared.data.sources.spelling import SIDE_WORDS, find_alike, is_missing, may_be_missing, side_of
from shared.data.sources.targets import TargetColumn, TargetReader, Targets
from shared.data.sources.timestamps import read_times
from shared.runtime.counts import count_of
from shared.runtime.errors import MetadataError, bullet_list, first_of, shortened

_PADDED = 2**22  # characters of a column, as an array

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
    noun : str
        What a row is.
    rows : sequence of str, N, optional
        What the rows are called, where no column says so.
    there : sequence of str, optional
        The names of all columns, where the table holds only some.
    decimal : {".", ","}
        Of numbers.
    """

    origin: str
    columns: ColumnsConfig = PLAIN_COLUMNS
    numbered: bool = False
    classes: tuple[str, ...] | None = None
    noun: str = "image"
    rows: Sequence[str] | None = None
    there: Sequence[str] | None = None
    decimal: str = "."


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
    table: Table,
    *,
    naming: Naming,
    classes: tuple[str, ...] | None,
    read_targets: TargetReader,
    positive: str | None = None,
) -> Annotations:
    """Read targets, patients, times, splits and other columns from text.

    Parameters
    ----------
    classes : tuple of str, optional
        ``data.classes``: names in the order of their numbers. Without it, the names that the source knows, else
        the sorted labels that occur.
    read_targets : TargetReader
        Of the task.
    positive : str, optional
        ``data.positive``.

    Raises
    ------
    MetadataError
        Names every row and every setting that is wrong.
    """
    problems, notes = [*table.problems], [*table.notes]
    roles = naming.columns
    by_folders: list[str] | None = None
    outside: list[str] = []
    if roles != PLAIN_COLUMNS:  # a source that has no columns of its own names none
        if roles.split is not None:
            by_folders = split_by_folders(table.columns.get(roles.filename, []), outside)
        known = by_folders is not None
        roles = find_columns(
            table.columns,
            roles,
            notes=notes,
            problems=problems,
            split_known=known,
            noun=naming.noun,
            there=naming.there,
        )
    if roles.label not in table.columns:
        raise metadata_error(naming.origin, problems)
    rows = list(naming.rows or table.columns.get(roles.filename) or (f"row {row}" for row in range(len(table))))
    column = TargetColumn(
        roles.label,
        table.columns[roles.label],
        rows,
        naming.numbered,
        naming.classes,
        wanted=classes,
        positive=positive,
        noun=naming.noun,
        decimal=naming.decimal,
    )
    targets = read_targets(column, problems)
    given = _splits(_optional(table, roles.split), rows, roles.split, problems)
    if given is None and by_folders is not None:
        given = _splits(by_folders, rows, "folder", problems)
        notes.append(
            f"the split is that of the folders in {roles.filename}: {', '.join(sorted({*by_folders}))}"
        )
    elif given is None:
        problems += outside
    patients = _optional(table, roles.patient_id)
    for name, values in ((roles.split, given), (roles.patient_id, patients)):
        if name in table.columns and values is None:
            notes.append(f"column {name!r} is empty")
    if patients is not None:
        nameless = [row for row, name in zip(rows, patients, strict=True) if is_missing(name)]
        problems += first_of(f"{row!r} has no {roles.patient_id}" for row in nameless)
        problems += first_of(_nobody(patients, roles.patient_id))
        problems += shortened_ids(patients, roles.patient_id or "")
        notes += visits_in_ids(set(patients), roles.patient_id or "")
        if alike := find_alike(patients):
            problems.append(f"values of {roles.patient_id} {alike}; write each patient's id in one way")
    if roles != PLAIN_COLUMNS:
        notes += column_hints(
            table.columns, roles, patients=patients, split=given is not None, noun=naming.noun
        )
        if patients is None and roles.patient_id is not None:
            notes += patients_by_folders(rows, [*column.texts, *table.columns.get(roles.site or "", [])])
        if alike := find_alike(table.columns.get(roles.site or "", [])):
            problems.append(
                f"values of {roles.site} {alike}; write each site in one way, or set data.columns.site=null"
            )
    times = None
    if roles.time is not None:
        times = read_times(table.columns.get(roles.time, []), rows=rows, column=roles.time, problems=problems)
    elif roles.series is not None:
        problems.append("data.columns.series has no effect without data.columns.time; set both, or neither")
    if problems:
        raise metadata_error(naming.origin, problems)
    others = {
        name: _as_array(values)
        for name, values in table.columns.items()
        if name not in (roles.filename, roles.label, roles.split, roles.patient_id, roles.time)
    }
    if roles.site in others:
        others.setdefault("site", others[roles.site])  # so that partition=natural finds it under its usual name
    groups = None if patients is None else Groups(*numbered(patients))
    time = None
    if times is not None:
        time = Timeline(times, *numbered(table.columns[roles.series] if roles.series else [""] * len(table)))
    return Annotations(targets, given, groups, time, others, tuple(map(shortened, (*notes, *targets.notes))))


def metadata_error(origin: str, problems: Sequence[str]) -> MetadataError:
    """Put all problems of a source's rows into one error."""
    return MetadataError(f"{origin} cannot be used:\n" + bullet_list(problems))


def _nobody(patients: Sequence[str], column: str | None) -> list[str]:
    # Rows whose patient is not known are not all of one patient.
    counts = Counter(patients)
    codes = {"-1"} if all(name.isdecimal() for name in counts if name != "-1") else set()
    return [
        f"{column} {name!r} of {count_of(counts[name], 'row')} stands for nobody known; write an id of its "
        f"own for each such patient, or drop these rows"
        for name in sorted(counts)
        if (may_be_missing(name) or name in codes) and counts[name] > 1
    ]


def numbered(texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """The number of each text among the different ones, which are sorted, and these."""
    unique = sorted(set(texts))
    numbers = {text: number for number, text in enumerate(unique)}
    return np.array([numbers[text] for text in texts], dtype=np.int64), tuple(unique)


def _as_array(texts: list[str]) -> npt.NDArray[Any]:
    # An array of texts gives each the room of the longest: one that is much longer makes them objects.
    padded = len(texts) * max(map(len, texts), default=0)
    narrow = padded <= _PADDED or padded <= 4 * sum(map(len, texts))
    return np.array(texts, dtype=np.str_ if narrow else np.object_)


def _splits(
    texts: list[str] | None, rows: list[str], column: str | None, problems: list[str]
) -> npt.NDArray[np.str_] | None:
    if texts is None:
        return None
    splits = [side_of(text) for text in texts]
    strangers: dict[str, list[str]] = {}
    for row, text, split in zip(rows, texts, splits, strict=True):
        if split is None:
            strangers.setdefault(text, []).append(row)
    problems += first_of(
        f"{column} {text!r} is none of {', '.join(SIDE_WORDS)} ({count_of(len(own), 'row')}, the first is "
        f"{own[0]!r}); write one of these, or set data.columns.split=null to have a split drawn"
        for text, own in strangers.items()
    )
    return np.array([split or "" for split in splits], dtype=np.str_)


def _optional(table: Table, column: str | None) -> list[str] | None:
    values = table.columns.get(column) if column else None
    return values if values and any(values) else None
