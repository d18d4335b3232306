"""`find_table`: the table of RSNA's layout, known by its columns."""

from __future__ import annotations

from pathlib import Path

from shared.data.pixels.files import open_head

PATIENT, TARGET = "patientId", "Target"
_LONGEST_HEADER = 4096  # bytes; that of the challenge has 43


def find_table(root: Path, files: dict[str, str]) -> str | None:
    """The table of RSNA's layout, by its columns, at the top or in the only folder there.

    Parameters
    ----------
    root : Path
        A ZIP or a folder.
    files : dict of str to str
        Real names by normal name.

    Returns
    -------
    str or None
        Normal name; None where there is no such table, or several.
    """
    tables = [name for name in files if name.lower().endswith(".csv") and name.count("/") <= 1]
    found = []
    with open_head(root) as read:
        for name in tables:
            try:
                header = read(files[name], _LONGEST_HEADER).split(b"\n", 1)[0].decode("utf-8-sig")
            except Exception:  # whatever is wrong with it, it is no table of this layout
                continue
            if {PATIENT, TARGET} <= {column.strip().strip('"') for column in header.split(",")}:
                found.append(name)
    return found[0] if len(found) == 1 else None
