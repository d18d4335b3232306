"""`find_columns`: which column of a table plays which part, also where its name is spelled otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from shared.config.data import ColumnsConfig
from shared.data.sources.spelling import name_key, side_of

_REQUIRED = ("filename", "label")
_ALSO = {  # names that leave no doubt, beside the setting's own
    "patient_id": {
        "patient",
        "patientnumber",
        "patientno",
        "patientnr",
        "subject",
        "subjectid",
        "participantid",
    },
}


def find_columns(
    columns: Mapping[str, Sequence[str]], wanted: ColumnsConfig, *, notes: list[str], problems: list[str]
) -> ColumnsConfig:
    """Find the columns that are configured.

    A name that the user chose must be there. A default that is not there is found whatever its case, spaces and
    ``_``; so is a column of patients under a usual name, and a split in any column that holds nothing but
    ``train``, ``val`` and ``test``.

    Parameters
    ----------
    columns : mapping of str to sequence of str
        Texts by column.
    notes, problems : list of str
        Take a sentence for each column that is read under another name or is not there, and for each that is
        wrong.

    Returns
    -------
    ColumnsConfig
        Names as the table has them; those that are not there are unchanged.
    """
    names: dict[str, str | None] = wanted.model_dump()
    found: dict[str, str] = {}
    for role, name in names.items():
        if name is None or name in columns:
            continue
        if name != role:  # chosen by the user: the defaults are called as their parts
            problems.append(f"{missing_column(columns, name)} (data.columns.{role})")
            continue
        taken = {*names.values(), *found.values()}
        alike = [column for column in _alike(columns, role) if column not in taken]
        if len(alike) > 1:
            which = ", ".join(map(repr, alike))
            problems.append(
                f"columns {which} may each be the {role}; set data.columns.{role} to one, or to null"
            )
        elif alike:
            found[role] = alike[0]
            notes.append(f"column {alike[0]!r} is read as {role}")
        elif role in _REQUIRED:
            problems.append(missing_column(columns, name))
    absent = [
        role for role in ("patient_id", "split") if names[role] == role and role not in {*columns, *found}
    ]
    if absent:
        there = ", ".join(map(repr, columns))
        means = {"patient_id": "one patient's images may lie on two sides", "split": "the split is drawn"}
        notes.append(
            f"no column {' and no column '.join(absent)}: {' and '.join(means[role] for role in absent)}; the "
            f"columns are {there}"
        )
    return wanted.model_copy(update=found)


def missing_column(columns: Mapping[str, Sequence[str]], name: str) -> str:
    """Say that a column is not there, and which one is nearest."""
    there = ", ".join(map(repr, columns)) or "no columns at all"
    by_key = {name_key(column): column for column in columns}
    near = get_close_matches(name_key(name), by_key, n=1)
    hint = f"; did you mean {by_key[near[0]]!r}?" if near else ""
    return f"there is no column {name!r}, only {there}{hint}"


def _alike(columns: Mapping[str, Sequence[str]], role: str) -> list[str]:
    for keys in ({name_key(role)}, _ALSO.get(role, set())):
        if alike := [column for column in columns if name_key(column) in keys]:
            return alike
    return [column for column, texts in columns.items() if _is_split(texts)] if role == "split" else []


def _is_split(texts: Sequence[str]) -> bool:
    sides = {side_of(text) for text in set(texts)}
    return "train" in sides and len(sides) > 1 and None not in sides
