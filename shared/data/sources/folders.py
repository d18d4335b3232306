"""Folders in the file names of a table: a split that comes with the data, patients that nobody named."""

from __future__ import annotations

from collections.abc import Sequence

from shared.data.sources.listing import parent_of, shown_names
from shared.data.sources.spelling import is_no_class, name_key, side_of


def split_by_folders(filenames: Sequence[str], problems: list[str]) -> list[str] | None:
    """Read the split that folders such as ``train/`` and ``test/`` give.

    Parameters
    ----------
    problems : list of str
        Takes a sentence if only some of the files lie in such folders.

    Returns
    -------
    list of str, N, or None
        Texts as a split column has them; None where no file or not every file lies in such a folder, and where
        all lie on the same side.
    """
    found = [_split_folder(name) for name in filenames]
    outside = [name for name, folder in zip(filenames, found, strict=True) if folder is None]
    names = sorted({folder for folder in found if folder})
    if outside and names:
        problems.append(
            f"{len(found) - len(outside)} of {len(found)} file names lie in folders of a split "
            f"({', '.join(names)}), and the others, such as {outside[0]!r}, in none; write a column split, or "
            f"set data.columns.split=null to draw it"
        )
    if outside or len(set(map(side_of, names))) < 2:
        return None
    return [folder or "" for folder in found]


def patients_by_folders(filenames: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Say that the folders of the files may be patients.

    Returns
    -------
    list of str
        One sentence, or none: of folders that are sides or classes, hold one file each, or hold all.
    """
    folders = [parent_of(name) for name in filenames]
    there = {folder.rpartition("/")[2] for folder in folders}
    classes = {name_key(label) for label in labels}
    if not 1 < len(set(folders)) < len(folders) or any(
        not name or side_of(name) or name_key(name) in classes for name in there
    ):
        return []
    if all(map(is_no_class, there)):
        return [
            f"the file names have {len(there)} folders that are called as folds ({shown_names(sorted(there))}) "
            f"and not read; a column split says which rows are train, val and test"
        ]
    return [
        f"the file names have {len(there)} folders ({shown_names(sorted(there))}): if each is a patient, write "
        f"them into a column patient_id"
    ]


def _split_folder(name: str) -> str | None:
    return next((folder for folder in parent_of(name).split("/") if side_of(folder)), None)
