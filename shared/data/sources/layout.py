"""`advise`: which ``data=`` and ``data.path=`` read what lies at a path, where the configured ones do not."""

from __future__ import annotations

import zipfile
from pathlib import Path

from shared.data.pixels.files import FolderTree
from shared.data.pixels.zip_archive import BROKEN_ZIP, is_junk, normal_name
from shared.data.sources.listing import Listing, is_image, last_of, parent_of
from shared.data.sources.masks import NO_CLASSES
from shared.data.sources.spelling import name_key, side_of


def find_layout(listing: Listing) -> tuple[str, str] | None:
    """Find the topmost folder that could be read.

    Returns
    -------
    tuple of str and str, or None
        ``folder`` (it holds a ``metadata.csv``) or ``classes`` (folders of splits, or several with images), and
        the folder, ``""`` for the top.
    """
    for folder in sorted(["", *listing.folders], key=lambda name: (len(name.split("/")) if name else 0, name)):
        if "metadata.csv" in map(last_of, listing.directly_in(folder)):
            return "folder", folder
        below = [name for name in listing.below(folder) if name_key(name) not in NO_CLASSES]
        full = [name for name in below if any(map(is_image, listing.all_in(f"{folder}/{name}".lstrip("/"))))]
        if any(map(side_of, full)) or len(full) > 1:
            return "classes", folder
    return None


def advise(path: Path) -> list[str]:
    """Say how a file or folder could be read.

    Returns
    -------
    list of str
        One sentence, or none where nothing is recognised.
    """
    if path.is_dir():
        tree = FolderTree(path)
        found = find_layout(Listing(sorted(tree.files()), tree.folders()))
        return [f"data={found[0]} data.path={path / found[1]} reads what lies there"] if found else []
    try:
        with zipfile.ZipFile(path) as archive:
            entries = sorted(name for entry in archive.namelist() if not is_junk(name := normal_name(entry)))
    except (*BROKEN_ZIP, OSError):
        return []
    if any(last_of(name) == "metadata.csv" for name in entries):
        return [f"data=zip data.path={path} reads a ZIP with metadata.csv"]
    if any(name.endswith("_images.npy") for name in entries):
        return [f"data=npz data.path={path} reads these arrays"]
    folders: set[str] = set()
    for name in entries:
        while name := parent_of(name):
            folders.add(name)
    found = find_layout(Listing([name for name in entries if name not in folders], sorted(folders)))
    if found is None:
        return []
    inside = f"/{found[1]}" if found[1] else ""
    return [f"it holds folders of classes or splits: unpack it and set data=classes data.path=FOLDER{inside}"]
