"""`find_columns`: which column of a table plays which part, also where its name is spelled otherwise."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from shared.config.data import ColumnsConfig
from shared.data.sources.listing import is_image, shown_names
from shared.data.sources.spelling import name_key, side_of

_SHOWN = 20  # names of columns in a sentence
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
        "participant",
        "personid",
        "ptid",
        "mrn",
    },
}


def find_columns(
    columns: Mapping[str, Sequence[str]],
    wanted: ColumnsConfig,
    *,
    notes: list[str],
    problems: list[str],
    split_known: bool = False,
    noun: str = "image",
    there: Sequence[str] | None = None,
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
    split_known : bool
        Whether the split is known without a column.
    noun : str
        What a row is; only images have file names.
    there : sequence of str, optional
        All columns, where they are not all given.

    Returns
    -------
    ColumnsConfig
        Names as the table has them; those that are not there are unchanged.
    """
    names: dict[str, str | None] = wanted.model_dump()
    found: dict[str, str] = {}
    for role, name in names.items():
        if name is None:
            continue
        if name in columns:
            problems += _twins(columns, role, name)
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
        elif role in _REQUIRED and (role != "filename" or noun == "image"):
            problems.append(missing_column(columns, name) + _looks_like(columns, role))
    absent = [
        role for role in ("patient_id", "split") if names[role] == role and role not in {*columns, *found}
    ]
    if split_known and "split" in absent:
        absent.remove("split")
    if absent:
        shown = shown_names(columns if there is None else there, most=_SHOWN)
        means = {"patient_id": no_patients(noun), "split": "the split is drawn"}
        notes.append(
            f"no column {' and no column '.join(absent)}: {' and '.join(means[role] for role in absent)}; the "
            f"columns are {shown}"
        )
    return wanted.model_copy(update=found)


def no_patients(noun: str) -> str:
    """What it means that no column tells patients apart, of rows that are called so."""
    return f"one patient's {noun}s may lie on two sides"


def may_play_a_part(name: str, wanted: ColumnsConfig) -> bool:
    """Whether a column may be found as one that is configured, by its name alone."""
    roles = {role: own for role, own in wanted.model_dump().items() if own is not None}
    keys = {key for role, own in roles.items() if own == role for key in (name_key(role), *_ALSO.get(role, ()))}
    return name in roles.values() or name_key(name) in keys


def missing_column(columns: Collection[str], name: str) -> str:
    """Say that a column is not there, and which one is nearest."""
    there = shown_names(columns, most=_SHOWN) or "no columns at all"
    by_key = {name_key(column): column for column in columns}
    near = get_close_matches(name_key(name), by_key, n=1)
    hint = f"; did you mean {by_key[near[0]]!r}?" if near else ""
    return f"there is no column {name!r}, only {there}{hint}"


def _twins(columns: Mapping[str, Sequence[str]], role: str, name: str) -> list[str]:
    # Columns of the same name but for its spelling; one that says the same does no harm.
    twins = [
        other for other in columns if name_key(other) == name_key(role) and columns[other] != columns[name]
    ]
    if name != role or not twins:
        return []
    which = ", ".join(map(repr, [name, *twins]))
    return [
        f"columns {which} may each be the {role}, and differ; remove or rename one, or set "
        f"data.columns.{role}='{twins[0]}'"
    ]


def _looks_like(columns: Mapping[str, Sequence[str]], role: str) -> str:
    images = [name for name, texts in columns.items() if texts and all(map(is_image, texts))]
    if role != "filename" or len(images) != 1:
        return f"; set data.columns.{role} to one of them"
    return f"; set data.columns.filename='{images[0]}', which names images"


def _alike(columns: Mapping[str, Sequence[str]], role: str) -> list[str]:
    for keys in ({name_key(role)}, _ALSO.get(role, set())):
        if alike := [column for column in columns if name_key(column) in keys]:
            return alike
    return [column for column, texts in columns.items() if _is_split(texts)] if role == "split" else []


def _is_split(texts: Sequence[str]) -> bool:
    sides = {side_of(text) for text in set(texts)}
    return "train" in sides and len(sides) > 1 and None not in sides
