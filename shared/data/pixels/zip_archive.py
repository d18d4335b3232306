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

from shared.data.pixels.limits import ReadLimits, over
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
_JUNK = {
    *("__macosx", "icon\r", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin"),
    "system volume information",
}
_SMALLEST_ENTRY, _LONGEST_END = 46, 2**16 + 200  # bytes, of a ZIP's directory
_ENCRYPTED, _UTF8 = 0x1, 0x800  # bits of an entry's flags


def check_archive(path: Path, *, limits: ReadLimits) -> dict[str, str]:
    """List the files of a ZIP, or say everything that is wrong with it.

    Parameters
    ----------
    limits : ReadLimits
        Most entries, bytes of all together, expanded, and ratio of expanded to packed size of each.

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
        check_count(path, limits.max_files)
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except BROKEN_ZIP as error:
        raise ArchiveError(f"{path} is not a ZIP that can be read: {error}") from None
    problems = []
    expanded = sum(entry.file_size for entry in entries)
    if expanded > limits.max_bytes:
        problems.append(over(f"{expanded} bytes expanded", "max_archive_bytes", limits.max_bytes))
    files: dict[str, str] = {}
    for entry in entries:
        problems += [f"{entry.orig_filename!r} {reason}" for reason in _refusals(entry, limits.max_ratio)]
        name = normal_name(written_name(entry))
        if is_folder(entry) or is_junk(name):
            continue
        if name in files:
            problems.append(f"{entry.orig_filename!r} appears twice")
        files[name] = entry.filename
    if problems:
        raise ArchiveError(f"{path} is refused:\n" + bullet_list(problems))
    return files


def check_count(path: Path, most: int) -> None:
    """Count the entries of a ZIP in its directory, and no further than a limit.

    Raises
    ------
    ArchiveError
        There are more.
    BROKEN_ZIP
        It is no ZIP.
    """
    size = path.stat().st_size
    if size < most * _SMALLEST_ENTRY:
        return
    with path.open("rb") as file:
        tail_at = max(size - _LONGEST_END, 0)
        file.seek(tail_at)
        tail = file.read()
        end = tail.rfind(b"PK\x05\x06")
        if end < 0 or len(tail) < end + 22:
            return  # no ZIP: zipfile says so
        length = struct.unpack("<I", tail[end + 12 : end + 16])[0]
        wide = tail.rfind(b"PK\x06\x06", 0, end)
        if wide >= 0 and tail[end - 20 : end - 16] == b"PK\x06\x07":  # ZIP64 has an end of its own
            length, end = struct.unpack("<Q", tail[wide + 40 : wide + 48])[0], wide
        at, stop = tail_at + end - length, tail_at + end
        if at < 0:
            return
        file.seek(at)
        names, count = file.read(stop - at), 0
    at = 0
    while names[at : at + 4] == b"PK\x01\x02" and at + _SMALLEST_ENTRY <= len(names):
        count += 1
        if count > most:
            raise ArchiveError(
                f"{path} is refused: {over(f'more than {most} entries', 'max_archive_files', most)}"
            )
        at += _SMALLEST_ENTRY + sum(struct.unpack("<HHH", names[at + 28 : at + 34]))


def list_folders(path: Path) -> list[str]:
    """Normal names of the folders of a ZIP, empty ones too, sorted; junk of operating systems is left out."""
    found: set[str] = set()
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = normal_name(written_name(entry))
            if is_junk(name):
                continue
            if is_folder(entry) and name != ".":
                found.add(name)
            while (above := posixpath.dirname(name)) not in ("", name):  # of "/" it is "/"
                found.add(above)
                name = above
    return sorted(found)


def is_folder(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is a folder; `zipfile` itself fails at one without a name."""
    return entry.filename.endswith("/")


def written_name(entry: zipfile.ZipInfo) -> str:
    """The name of an entry as it was written: many programs write UTF-8 without the mark of it.

    What is no UTF-8 is in code page 437, as the format says and `zipfile` reads it.
    """
    if entry.flag_bits & _UTF8:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


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
    if not entry.filename:
        reasons.append("has no name")
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
