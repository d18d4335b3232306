"""The files of a source, in a ZIP or a folder: what is there, what identifies it, how one is read."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.data.pixels.zip_archive import MAX_FILE_BYTES, check_archive, is_junk, normal_name, read_entry
from shared.runtime.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


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

    max_files: int
    max_bytes: int
    max_ratio: float

    def files(self) -> dict[str, str]:
        """The entries, checked.

        Raises
        ------
        ArchiveError
        """
        limits = {"max_files": self.max_files, "max_bytes": self.max_bytes}
        return check_archive(self.root, **limits, max_ratio=self.max_ratio)


@dataclass(frozen=True)
class FolderTree:
    """The files in a folder; with ``parts`` only those files and folders of it."""

    root: Path
    parts: tuple[str, ...] = ("",)

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
            if found.setdefault(normal_name(name), name) != name:
                raise DataError(f"{self.root}: {name!r} is there twice, in two Unicode spellings; remove one")
        return found

    def folders(self) -> list[str]:
        """Normal names of all folders below ``parts``, sorted; hidden ones and junk of systems are left out."""
        return sorted(normal_name(name) for part in self.parts for name, _ in _walk(self.root, part) if name)

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


@contextmanager
def open_reader(root: Path) -> Iterator[Callable[[str], bytes]]:
    """Open a ZIP or a folder for reading files by their real names.

    Yields
    ------
    callable
        From a name to the file's content. It raises many kinds of errors for damaged files.
    """
    if root.is_dir():
        yield lambda name: _read_file(root / name)
    else:
        with zipfile.ZipFile(root) as archive:
            yield lambda name: read_entry(archive, name)


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


def _read_file(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{size} bytes, {MAX_FILE_BYTES} are allowed for one file")
    return path.read_bytes()
