"""`recognise`: which ``data=`` and ``data.path=`` read what lies at a path, or why that cannot be said."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from shared.data.pixels.dicom import is_dicom
from shared.data.pixels.files import FolderTree
from shared.data.pixels.zip_archive import (
    BROKEN_ZIP,
    is_folder,
    is_junk,
    list_folders,
    normal_name,
    unsafe_reason,
    written_name,
)
from shared.data.sources.folder_names import sides_below, sides_in_names
from shared.data.sources.idx import idx_names
from shared.data.sources.listing import Listing, is_image, is_table, last_of, shown_names
from shared.data.sources.masks import NO_CLASSES
from shared.data.sources.outlook import TABLE, classes_in
from shared.data.sources.rsna_table import find_table
from shared.data.sources.spelling import name_key, side_of
from shared.runtime.counts import count_of
from shared.runtime.errors import DataError, bullet_list

_PACKED = (".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def recognise(path: Path) -> tuple[str, Path]:
    """Find out how a file or folder is to be read.

    Returns
    -------
    tuple of str and Path
        A value of ``data=``, and of ``data.path=``: the path, or the folder below it where the data lies.

    Raises
    ------
    DataError
        There is nothing, nothing that can be read, or what could be read in several ways; all are named.
    """
    path = path.expanduser().absolute()
    if not path.exists():
        raise DataError(f"data.path: there is no file or folder {path}")
    if path.is_file() and path.suffix.lower() == ".npz":
        return "npz", path
    if path.is_file() and path.name == TABLE:
        return "folder", path.parent
    if path.is_file() and is_table(path.name):
        raise DataError(
            f"data.path: {path} is a table; set task=tabular_classification or task=tabular_regression, and "
            f"data.target to the column that is to be predicted; or task=clustering"
        )
    if path.is_file() and not zipfile.is_zipfile(path):
        raise DataError(f"data.path: {path} is no folder, no ZIP and no .npz, which data=auto can read")
    try:
        listing = _listing(path)
    except BROKEN_ZIP as error:
        raise DataError(f"data.path: {path} is not a ZIP that can be read: {error}") from None
    if path.is_file() and any(name.endswith("_images.npy") for name in listing.files):
        return "npz", path
    if path.is_dir() and find_table(path, {name: name for name in listing.files}):
        return "folder", path
    if path.is_dir() and idx_names(listing.directly_in("")):
        return "idx", path
    found = list(dict.fromkeys(_ways(listing)))
    if not found:
        raise DataError(
            f"data.path: {path} holds nothing that data=auto knows: {_what_is_there(listing, path)}"
        )
    if path.is_file() and all(source == "folder" for source, _ in found):
        return "zip", path  # several tables are told where they are read
    if len(found) > 1:
        top = find_layout(listing)
        choices = [
            f"{_written(way, path, topmost=top is not None and way[1] == top[1])}: "
            f"{classes_in(path, listing, way[1], table=way[0] == 'folder')}"
            for way in found
        ]
        raise DataError(f"data.path: {path} could be read in several ways; choose one:\n{bullet_list(choices)}")
    return _meant(found[0], path)


def find_layout(listing: Listing) -> tuple[str, str] | None:
    """Find the topmost folder that could be read.

    Returns
    -------
    tuple of str and str, or None
        ``folder`` (it holds a ``metadata.csv``) or ``classes`` (folders of splits, or several with images), and
        the folder, ``""`` for the top.
    """
    for folder in sorted(["", *listing.folders], key=lambda name: (_depth(name), name)):
        if TABLE in map(last_of, listing.directly_in(folder)):
            return "folder", folder
        if _holds_classes(listing, folder):
            return "classes", folder
    return None


def advise(path: Path, *, but: str = "") -> list[str]:
    """Say how a file or folder could be read.

    Parameters
    ----------
    but : str
        The value of ``data=`` that was tried.

    Returns
    -------
    list of str
        One sentence, or none where nothing is recognised.
    """
    try:
        listing = _listing(path)
    except (*BROKEN_ZIP, OSError):
        return []
    if path.is_file() and any(name.endswith("_images.npy") for name in listing.files):
        return [] if but == "npz" else [f"data=npz data.path={path} reads these arrays"]
    found = find_layout(listing)
    if found is None and path.is_dir() and idx_names(listing.directly_in("")):
        return [] if but == "idx" else [f"data=idx data.path={path} reads the files there"]
    if found is None:
        return []
    source, place = _meant(found, path)
    return [f"data={source} data.path={place} reads what lies there"]


def _ways(listing: Listing) -> list[tuple[str, str]]:
    # All that the data could be meant as. A reading that others contradict is not dropped, but named with them.
    found = find_layout(listing)
    if found is None:
        return []
    source, top = found
    level = [name for name in ["", *listing.folders] if _depth(name) == _depth(top)]
    tables = [name for name in level if TABLE in map(last_of, listing.directly_in(name))]
    classes = [name for name in level if _holds_classes(listing, name)]
    if source == "classes" and not tables:
        below = list(listing.all_below(top))
        tables = [name for name in below if TABLE in map(last_of, listing.directly_in(name))]
        inner = _classes_below(listing, top)
        if any(side_of(name) for folder in inner for name in listing.below(folder)):
            classes.remove(top)  # what lies above several splits is refused where it is read
        classes += inner
    return [*(("folder", name) for name in tables), *(("classes", name) for name in classes)]


def _classes_below(listing: Listing, top: str) -> list[str]:
    # Folders that each hold the same folders of images, as those of several sites or devices do.
    folders = [_join(top, name) for name in listing.below(top) if not side_of(name)]
    if len(folders) < len(listing.below(top)) or sides_in_names(listing.below(top)):
        return []  # folders of splits: what lies beside them is judged where they are read
    if sides_below(listing, top):
        return []
    inner = [{name for name in listing.below(folder) if name_key(name) not in NO_CLASSES} for folder in folders]
    same = set.intersection(*inner) if len(inner) > 1 else set()
    return folders if len(same) > 1 else []


def _holds_classes(listing: Listing, folder: str) -> bool:
    below = [name for name in listing.below(folder) if name_key(name) not in NO_CLASSES]
    full = [name for name in below if any(map(is_image, listing.all_in(_join(folder, name))))]
    return any(map(side_of, full)) or len(full) > 1


def _listing(path: Path) -> Listing:
    if path.is_dir():
        tree = FolderTree(path)
        return Listing(sorted(_with_suffixes(path, tree.files())), tree.folders())
    with zipfile.ZipFile(path) as archive:
        names = {normal_name(written_name(entry)) for entry in archive.infolist() if not is_folder(entry)}
    return Listing(sorted(name for name in names if not is_junk(name)), list_folders(path))


def _with_suffixes(root: Path, files: Mapping[str, str]) -> list[str]:
    # Where no name is that of an image, DICOM files are known by their preamble: devices write no suffix.
    if any(map(is_image, files)):
        return list(files)
    return [f"{name}.dcm" if _begins_as_dicom(root / real) else name for name, real in files.items()]


def _begins_as_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as handle:
            return is_dicom(handle.read(132))
    except OSError:  # a link that leads nowhere, for one: named where the files are read
        return False


def _what_is_there(listing: Listing, path: Path) -> str:
    images = sum(map(is_image, listing.files))
    tables = [
        name for name in listing.files if name.lower().endswith((".csv", ".tsv", ".xlsx", ".zip", ".npz"))
    ]
    found = f"{count_of(images, 'image')} in {count_of(len(listing.folders), 'folder')}"
    if tables:
        found += f", {shown_names(tables)}"
    if alike := [name for name in tables if last_of(name).lower() == TABLE and last_of(name) != TABLE]:
        found += f" (rename {alike[0]!r} to {TABLE})"
    elif len(tables) == 1 and tables[0].lower().endswith((".csv", ".tsv", ".xlsx")):
        found += f" (save {tables[0]!r} as {TABLE}, if it names the images and their labels)"
    if not images and not tables and listing.files:
        found += f", {shown_names(listing.files)}"
        if any(name.lower().endswith(_PACKED) for name in listing.files):
            found += " (unpack what is packed)"
    if any(name.lower().endswith((".zip", ".npz")) for name in tables):
        inside = (
            "data.path may name one of these files" if path.is_dir() else "unpack it to read what is in these"
        )
        found += f" ({inside})"
    if unsafe := [name for name in listing.files if path.is_file() and unsafe_reason(name)]:
        files, why = count_of(len(unsafe), "file"), unsafe_reason(unsafe[0])
        found += f", {files} whose name {why}, such as {unsafe[0]!r} (pack it anew)"
    return (
        f"{found}. It reads a {TABLE} with the columns filename,label beside a folder images/; one folder of "
        f"images a class, also below train, val and test; a ZIP of either; an .npz in MedMNIST's "
        f"layout; a folder of MNIST's idx files"
    )


def _meant(way: tuple[str, str], path: Path) -> tuple[str, Path]:
    # The settings that read a folder so; a ZIP is named as a whole.
    source, folder = way
    if path.is_dir():
        return source, path / folder
    return "zip" if source == "folder" else source, path


def _written(way: tuple[str, str], path: Path, *, topmost: bool) -> str:
    # A ZIP is read from the topmost folder that can be; for one within, it is to be unpacked.
    source, place = _meant(way, path)
    if path.is_dir() or topmost or source == "zip":
        return f"data={source} data.path={place}"
    return f"unpack it, and data={source} data.path={path.with_suffix('') / way[1]}"


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _depth(name: str) -> int:
    return len(name.split("/")) if name else 0
