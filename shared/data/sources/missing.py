"""`tell_missing`: files that a table names and nobody has, with one that may be meant; `in_one` counts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from shared.data.pixels.files import FolderTree
from shared.data.sources.listing import last_of

_NO_FILE = "there is no file "
_MOST = 3  # that are listed one by one


def tell_missing(missing: Mapping[int, str], files: Iterable[str], root: Path) -> dict[int, str]:
    """Say which files are not there.

    Parameters
    ----------
    missing : mapping of int to str
        Normal name by row.
    files : iterable of str
        Normal names of those that are there.
    root : Path
        Folder or ZIP.

    Returns
    -------
    dict of int to str
        A sentence a row; the first names a file of the same name in another folder or case, or with another
        suffix.
    """
    if not missing:
        return {}
    there = FolderTree(root).files() if root.is_dir() else files  # also beside images/
    found = {_key(name): name for name in sorted(there, reverse=True)}
    sentences = {row: _NO_FILE + name for row, name in missing.items()}
    first = min(missing)
    if other := found.get(_key(missing[first])):
        sentences[first] += f" ({other} is there)"
    return sentences


def in_one(reasons: Sequence[str]) -> list[str]:
    """Put rows whose files are missing into one line, where there are more than a few."""
    missing = [reason for reason in reasons if _NO_FILE in reason]
    if len(missing) <= _MOST:
        return list(reasons)
    rest = [reason for reason in reasons if _NO_FILE not in reason]
    return [f"{len(missing)} rows name files that are not there, the first: {missing[0]}", *rest]


def _key(name: str) -> str:
    last = last_of(name.replace("\\", "/"))
    return (last.rpartition(".")[0] or last).casefold()
