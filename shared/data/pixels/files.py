"""The files of a source, in a ZIP or a folder: what is there, what identifies it, how one is read."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.data.pixels.limits import FREE_TABLE_BYTES, ReadLimits, over
from shared.data.pixels.zip_archive import (
    MAX_FILE_BYTES,
    check_archive,
    is_junk,
    list_folders,
    normal_name,
    read_entry,
    written_name,
)
from shared.runtime.errors import DataError

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    *(".dcm", ".dicom", ".ima"),  # the last by Siemens devices
)


class Content(Protocol):
    """What a source reads, and how a change of it is noticed."""

    @property
    def root(self) -> Path | None:
        """Absolute path of the file or folder; None if the stamp says it all."""
        ...

    def stamp(self) -> str:
        """What changes when the content changes, without reading it."""
        ...

    def digest(self) -> str:
        """Hash of the content."""
        ...


class FileTree(Content, Protocol):
    """Content that consists of named files."""

    @property
    def root(self) -> Path:
        """Absolute path of the ZIP or the folder."""
        ...

    def files(self) -> dict[str, str]:
        """The real name of each normal name (see `shared.data.pixels.zip_archive.normal_name`)."""
        ...

    def folders(self) -> list[str]:
        """Normal names of all folders, sorted."""
        ...

    def sizes(self, names: Iterable[str]) -> dict[str, int | None]:
        """Bytes of files by normal name; None of a link that leads nowhere."""
        ...


@dataclass(frozen=True)
class OneFile:
    """A file of its own."""

    root: Path

    def stamp(self) -> str:
        """Size and time of last change, ``bytes:nanoseconds``."""
        status = self.root.stat()
        return f"{status.st_size}:{status.st_mtime_ns}"

    def digest(self) -> str:
        """SHA-256, hex."""
        with self.root.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()


@dataclass(frozen=True)
class ZipTree(OneFile):
    """The files in a ZIP, within limits (see `shared.data.pixels.zip_archive.check_archive`)."""

    limits: ReadLimits

    def files(self) -> dict[str, str]:
        """The entries, checked.

        Raises
        ------
        ArchiveError
        """
        return check_archive(self.root, limits=self.limits)

    def folders(self) -> list[str]:
        """Normal names of all folders, empty ones too, sorted."""
        return list_folders(self.root)

    def sizes(self, names: Iterable[str]) -> dict[str, int | None]:
        """Bytes of files, expanded."""
        with zipfile.ZipFile(self.root) as archive:
            found = {normal_name(written_name(entry)): entry.file_size for entry in archive.infolist()}
        return {name: found[name] for name in names}


@dataclass(frozen=True)
class FolderTree:
    """The files in a folder; with ``parts`` only those files and folders of it."""

    root: Path
    parts: tuple[str, ...] = ("",)
    limits: ReadLimits | None = None

    def stamp(self) -> str:
        """Hash of every file's name, size and time."""
        return self._hash(lambda file: file.stamp())

    def digest(self) -> str:
        """Hash of every file's name and content."""
        return self._hash(lambda file: file.digest())

    def files(self) -> dict[str, str]:
        """Every file below ``parts``, also behind links; hidden ones and junk of systems are left out.

        Raises
        ------
        DataError
            A folder cannot be listed, or is reached twice, through a link.
        """
        found: dict[str, str] = {}
        for name in self._names():
            if self.limits and len(found) > self.limits.max_rows:
                most = self.limits.max_rows
                raise DataError(f"{self.root}: {over(f'more than {most} files', 'max_rows', most)}")
            if found.setdefault(normal_name(name), name) != name:
                raise DataError(f"{self.root}: {name!r} is there twice, in two Unicode spellings; remove one")
        return found

    def folders(self) -> list[str]:
        """Normal names of all folders below ``parts``, sorted; hidden ones and junk of systems are left out."""
        return sorted(normal_name(name) for part in self.parts for name, _ in _walk(self.root, part) if name)

    def sizes(self, names: Iterable[str]) -> dict[str, int | None]:
        """Bytes of files; None of a link that leads nowhere."""
        real = self.files()
        paths = {name: self.root / real[name] for name in names}
        return {name: path.stat().st_size if path.exists() else None for name, path in paths.items()}

    def _names(self) -> Iterator[str]:
        for part in self.parts:
            if part and (self.root / part).is_file():
                yield part
                continue
            for folder, names in _walk(self.root, part):
                yield from (f"{folder}/{name}" if folder else name for name in names if not is_junk(name))

    def _hash(self, identify: Callable[[OneFile], str]) -> str:
        total = hashlib.sha256()
        for name, real in sorted(self.files().items()):
            try:
                identity = identify(OneFile(self.root / real))
            except OSError as error:  # a broken link, for one; the row that names it is reported later
                identity = str(error)
            total.update(f"{name}\0{identity}\n".encode("utf-8", "surrogateescape"))
        return total.hexdigest()


@dataclass(frozen=True)
class SubTree:
    """The files below a folder of a tree; their real names are those in the tree."""

    tree: FileTree
    folder: str

    @property
    def root(self) -> Path:
        """Of the tree."""
        return self.tree.root

    def stamp(self) -> str:
        """Of the whole tree."""
        return self.tree.stamp()

    def digest(self) -> str:
        """Of the whole tree."""
        return self.tree.digest()

    def files(self) -> dict[str, str]:
        """The real name of each normal name, which begins below the folder."""
        start = f"{self.folder}/"
        return {
            name.removeprefix(start): real for name, real in self.tree.files().items() if name.startswith(start)
        }

    def folders(self) -> list[str]:
        """Normal names of the folders below the folder."""
        start = f"{self.folder}/"
        return [name.removeprefix(start) for name in self.tree.folders() if name.startswith(start)]

    def sizes(self, names: Iterable[str]) -> dict[str, int | None]:
        """Bytes of files."""
        own = {f"{self.folder}/{name}": name for name in names}
        return {own[name]: size for name, size in self.tree.sizes(own).items()}


def read_table(tree: FileTree, real: str, *, limits: ReadLimits) -> bytes:
    """Read a table, if it is within its limits.

    Parameters
    ----------
    real : str
        Its real name.

    Raises
    ------
    DataError
        It is larger, or expands more, than is allowed.
    OSError, BROKEN_ZIP
        It cannot be read.
    """
    where = f"{real} of {tree.root}"
    if tree.root.is_file():
        with zipfile.ZipFile(tree.root) as archive:
            entry = archive.getinfo(real)
        size, ratio = entry.file_size, entry.file_size / max(entry.compress_size, 1)
        if size > FREE_TABLE_BYTES and ratio > limits.max_table_ratio:
            found = f"{where} declares {size} bytes, {ratio:.0f} times what it has packed"
            raise DataError(over(found, "max_table_ratio", limits.max_table_ratio))
    else:
        size = (tree.root / real).stat().st_size
    if size > limits.max_table_bytes:
        raise DataError(over(f"{where} has {size} bytes", "max_table_bytes", limits.max_table_bytes))
    with open_reader(tree.root, limit=limits.max_table_bytes) as read:
        return read(real)


@contextmanager
def open_reader(root: Path, *, limit: int = MAX_FILE_BYTES) -> Iterator[Callable[[str], bytes]]:
    """Open a ZIP or a folder for reading files by their real names.

    Parameters
    ----------
    limit : int
        Bytes; larger files are refused.

    Yields
    ------
    callable
        From a name to the file's content. It raises many kinds of errors for damaged files.
    """
    if root.is_dir():
        yield lambda name: _read_file(root / name, limit)
    else:
        with zipfile.ZipFile(root) as archive:
            yield lambda name: read_entry(archive, name, limit=limit)


@contextmanager
def open_head(root: Path) -> Iterator[Callable[[str, int], bytes]]:
    """Open a ZIP or a folder for reading the first bytes of files by their real names.

    Yields
    ------
    callable
        From a name and a number to so many bytes, or all there are.
    """

    def of_folder(name: str, most: int) -> bytes:
        with (root / name).open("rb") as file:
            return file.read(most)

    def of_archive(name: str, most: int) -> bytes:
        with archive.open(name) as file:
            return file.read(most)

    if root.is_dir():
        yield of_folder
    else:
        with zipfile.ZipFile(root) as archive:
            yield of_archive


def existing_path(text: str, *, folder: bool) -> Path:
    """The absolute path of a file or folder that the user named.

    Parameters
    ----------
    text : str
        Relative to the working directory; ``~`` is the home.
    folder : bool
        Whether a folder is expected.

    Raises
    ------
    DataError
        Nothing is there, or a file where a folder is expected, or the other way round.
    """
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise DataError(f"data.path: there is no {'folder' if folder else 'file'} {path}")
    if path.is_dir() != folder:
        found, wanted = ("file", "folder") if folder else ("folder", "file")
        hint = "data=zip or data=npz reads a file" if folder else "data=folder or data=classes reads a folder"
        raise DataError(f"data.path: {path} is a {found}, a {wanted} is expected ({hint})")
    if not os.access(path, os.R_OK):
        raise DataError(f"data.path: {path} may not be read (permission denied)")
    return path


def _walk(root: Path, part: str) -> Iterator[tuple[str, list[str]]]:
    # Each folder, "" for the root, and the files in it.
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise DataError(f"{error.filename} cannot be listed: {error.strerror}") from None

    reached: dict[tuple[int, int], str] = {}  # so that a link to a folder above does not lead round for ever
    for folder, below, names in os.walk(root / part, followlinks=True, onerror=refuse):
        status = Path(folder).stat()
        first = reached.setdefault((status.st_dev, status.st_ino), folder)
        if first != folder:
            raise DataError(f"{folder} and {first} are the same folder, through a link; remove one of them")
        below[:] = sorted(name for name in below if not is_junk(name))
        relative = Path(folder).relative_to(root).as_posix()
        yield ("" if relative == "." else relative), names


def _read_file(path: Path, limit: int) -> bytes:
    size = path.stat().st_size
    if size > limit:
        raise ValueError(f"{size} bytes, {limit} are allowed for one file")
    return path.read_bytes()
