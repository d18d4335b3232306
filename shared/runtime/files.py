"""`replacing`: writes a file whole and on disk, or not at all; `disk_error`: what a disk answered, in words."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from shared.runtime.errors import ConfigError, DiskError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_OF_DISKS = FULL | {errno.EROFS, errno.EIO, errno.EFBIG}
_UNFINISHED = ".tmp"


@contextmanager
def replacing(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A new file that takes the place of a path when the block ends, in one step and on disk.

    It is written beside the path, so that no other file system is needed; until then, and if anything fails,
    what was there stays. A process that is killed leaves its unfinished file, which the next one that writes
    the path removes.

    Parameters
    ----------
    path : Path
        Its folder is made if it is missing.
    mode : int
        Of the new file, before the umask.

    Raises
    ------
    DiskError
        The disk is full, cannot be written, or another `OSError`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(path)
        # The mode is given at creation: at no moment may others open what is private.
        with os.fdopen(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise disk_error(error, path=path) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_new(path: Path | None, *, force: bool) -> None:
    """Keep a command from replacing what is there, unless it is told to.

    Raises
    ------
    ConfigError
    """
    if path is not None and not force and os.path.lexists(path):
        raise ConfigError(f"{path} is there already: pass --force to replace it, or name another file")


def is_of_disk(error: BaseException | None) -> bool:
    """Whether an error is one of a disk: full, read-only, broken."""
    return isinstance(error, OSError) and error.errno in _OF_DISKS


def disk_error(error: OSError, *, path: Path | None = None) -> DiskError:
    """An error that names the file, what the system says, and what helps.

    Parameters
    ----------
    path : Path, optional
        By default the one that the error knows.
    """
    place = path or (Path(os.fsdecode(error.filename)) if error.filename else None)
    what = f"cannot write {place or 'a file'}: {error.strerror or error}"
    if error.errno in FULL:
        free = free_room(place)
        return DiskError(f"{what}{free}; make room on this disk, or set FEDTWIN_HOME to another one")
    return DiskError(f"{what}; mend this, or set FEDTWIN_HOME to a folder that can be written to")


def free_room(path: Path | None) -> str:
    """What is free on the disk of a file, in brackets; nothing if that cannot be told."""
    for folder in [] if path is None else path.absolute().parents:
        with suppress(OSError):
            usage = shutil.disk_usage(folder)
            return f" ({usage.free / 1e6:,.1f} of {usage.total / 1e6:,.0f} MB free)"
    return ""


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_unfinished(path: Path) -> None:
    for left in path.parent.glob(f".{path.name}.*{_UNFINISHED}"):
        import psutil  # not at the top: commands that write nothing start without it

        pid = left.name.removesuffix(_UNFINISHED).rpartition(".")[2]
        if pid.isdecimal() and int(pid) != os.getpid() and not psutil.pid_exists(int(pid)):
            left.unlink(missing_ok=True)
