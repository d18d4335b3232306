"""`column_hints`: columns that nothing is read from, and that look as if they told patients or sides apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from shared.config.data import ColumnsConfig
from shared.data.sources.spelling import name_key, side_of

_PEOPLE = re.compile(
    "(pat|patient|patienten|paziente|paciente|subject|person|participant|individual|case|lesion|study|exam|accession|"
    "specimen|donor|mrn|pid|ptid|患者)(id|uid|no|nr|num|number|nummer|numero|name|code|key)?"
)
_BOOLEANS = {"true", "false", "yes", "no", "0", "1", "0.0", "1.0", "t", "f", "y", "n"}
_IN_WORDS = ("train", "test", "val", "hold")  # of what is no usual word for a side: PublicTest
_FLAG = re.compile("(is|in)?(train|training|test|testing|val|valid|validation|holdout)")


def column_hints(
    columns: Mapping[str, Sequence[str]],
    roles: ColumnsConfig,
    *,
    patients: Sequence[str] | None,
    split: bool,
    noun: str = "image",
) -> list[str]:
    """Say which columns may be the patients' or the split's.

    Parameters
    ----------
    columns : mapping of str to sequence of str
        Texts by column.
    roles : ColumnsConfig
        What is read; a role that is null is not wanted.
    patients : sequence of str, N, or None
        What tells patients apart.
    split : bool
        Whether a split is read.
    noun : str
        What a row is.
    """
    used = {name for name in roles.model_dump().values() if name}
    rest = {name: texts for name, texts in columns.items() if name not in used}
    used_as = "is not read" if noun == "image" else "is an input"
    notes = []
    if not split and roles.split is not None:
        notes += [hint for name, texts in rest.items() if (hint := _split_hint(name, texts))]
    alone = patients is not None and len(set(patients)) == len(patients)
    if roles.patient_id is not None and (patients is None or alone):
        people = [name for name, texts in rest.items() if names_people(name) and _repeats(texts)]
        if alone:
            notes.append(f"every row has another {roles.patient_id}: no patient has two {noun}s")
        notes += [
            f"column {name!r} has {len(set(rest[name]))} values in {len(rest[name])} rows and {used_as}; "
            f"data.columns.patient_id='{name}' keeps its rows on one side"
            for name in people
        ]
    return notes


def names_people(name: str) -> bool:
    """Whether a column is called as what tells patients, or their visits, apart."""
    return _PEOPLE.fullmatch(name_key(name)) is not None


def _split_hint(name: str, texts: Sequence[str]) -> str:
    sides = [side_of(text) for text in texts]
    others = sorted({text for text, side in zip(texts, sides, strict=True) if side is None})
    of_sides = all(any(word in text.casefold() for word in _IN_WORDS) for text in others)
    if others and "train" in sides and (of_sides or sides.count(None) * 2 < len(texts)):
        return (
            f"column {name!r} looks like a split and is not read, for it also holds "
            f"{', '.join(map(repr, others[:5]))}; drop or rename these and set data.columns.split='{name}'"
        )
    if _FLAG.fullmatch(name_key(name)) and {text.casefold() for text in texts} <= _BOOLEANS:
        return (
            f"column {name!r} looks like a split and is not read, for it holds "
            f"{', '.join(sorted(set(texts)))}; write train, val or test into a column split"
        )
    return ""


def _repeats(texts: Sequence[str]) -> bool:
    return 1 < len(set(texts)) < len(texts)
