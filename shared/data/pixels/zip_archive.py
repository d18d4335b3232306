"""A ZIP of unknown origin: all entries are checked before one is read, and nothing is extracted to disk."""

from __future__ import annotations

import posixpath
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path

from shared.runtime.errors import ArchiveError, bullet_list

MAX_FILE_BYTES = 512 * 2**20  # one file is held in memory while it is decoded
BROKEN_ZIP = (  # what zipfile raises for damaged files
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile inflates the others without a limit
_JUNK = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"}
_ENCRYPTED = 0x1


def check_archive(path: Path, *, max_files: int, max_bytes: int, max_ratio: float) -> dict[str, str]:
    """List the files of a ZIP, or say everything that is wrong with it.

    Parameters
    ----------
    max_files : int
        Most entries.
    max_bytes : int
        Most bytes of all entries together, expanded.
    max_ratio : float
        Largest ratio of expanded to packed size of an entry.

    Returns
    -------
    dict of str to str
        The entry of each normal name (see `normal_name`); junk of operating systems is left out.

    Raises
    ------
    ArchiveError
        Not a ZIP; or entries that lead out of the folder, are links, appear twice, are encrypted, or expand
        beyond the limits. Every problem is in the message.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except BROKEN_ZIP as error:
        raise ArchiveError(f"{path} is not a ZIP that can be read: {error}") from None
    problems = []
    if len(entries) > max_files:
        problems.append(f"{len(entries)} entries, data.max_archive_files={max_files} are allowed")
    expanded = sum(entry.file_size for entry in entries)
    if expanded > max_bytes:
        problems.append(f"{expanded} bytes expanded, data.max_archive_bytes={max_bytes} are allowed")
    files: dict[str, str] = {}
    for entry in entries:
        problems += [f"{entry.orig_filename!r} {reason}" for reason in _refusals(entry, max_ratio)]
        name = normal_name(entry.filename)
        if entry.is_dir() or is_junk(name):
            continue
        if name in files:
            problems.append(f"{entry.orig_filename!r} appears twice")
        files[name] = entry.filename
    if problems:
        raise ArchiveError(f"{path} is refused:\n" + bullet_list(problems))
    return files


def read_entry(archive: zipfile.ZipFile, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """Read one entry, and never more than the size it declares.

    Parameters
    ----------
    limit : int
        Bytes; a larger entry is refused.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        The entry is larger than ``limit``.
    zipfile.BadZipFile
        The entry is damaged, or its size is not the declared one.
    """
    entry = archive.getinfo(name)
    if entry.file_size > limit:
        raise ValueError(f"{entry.file_size} bytes, {limit} are allowed for one file")
    with archive.open(entry) as handle:
        # Not read(): without a size zipfile inflates up to 1 GiB before it compares with the declared size.
        data = handle.read(entry.file_size)
    if len(data) != entry.file_size:
        raise zipfile.BadZipFile(f"{len(data)} bytes, {entry.file_size} were declared")
    return data


def unsafe_reason(name: str) -> str | None:
    """Why a file name could lead out of its folder.

    Returns
    -------
    str or None
        None for a safe name.
    """
    if name.startswith("/"):
        return "is an absolute path"
    if re.match(r"[A-Za-z]:", name):
        return "begins with a drive letter"
    if "\\" in name:
        return "has a backslash, write / between folders"
    if ".." in name.split("/"):
        return "leads out of the folder (..)"
    if "\0" in name:
        return "has a NUL character"
    return None


def normal_name(name: str) -> str:
    """Normalize a relative name: no ``./`` and ``//``, and composed Unicode (macOS writes it decomposed)."""
    return posixpath.normpath(unicodedata.normalize("NFC", name))


def is_junk(name: str) -> bool:
    """Whether a file is hidden, or bookkeeping of macOS, Windows or a file server.

    Parameters
    ----------
    name : str
        Relative, with ``/`` between folders.
    """
    return any(part.startswith(".") or part.lower() in _JUNK for part in name.split("/"))


def _refusals(entry: zipfile.ZipInfo, max_ratio: float) -> list[str]:
    reasons = []
    if unsafe := unsafe_reason(entry.orig_filename):
        reasons.append(unsafe)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        reasons.append("is a symbolic link")
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        reasons.append("is neither a file nor a folder")
    if entry.flag_bits & _ENCRYPTED:
        reasons.append("is encrypted")
    elif entry.compress_type not in METHODS:
        reasons.append(f"is packed with a method that is not supported ({entry.compress_type})")
    ratio = entry.file_size / max(entry.compress_size, 1)
    if ratio > max_ratio:
        reasons.append(f"expands {ratio:.0f} times, data.max_archive_ratio={max_ratio:g} is allowed")
    return reasons
