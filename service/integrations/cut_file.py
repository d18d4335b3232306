"""`append`: writes behind the length at which progress was last kept; what a crash left behind it goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from service.integrations.tracker import TrackerAway, TrackerRefused


def append(path: Path, write: Callable[[BinaryIO], None], *, size: int) -> int:
    """Cut a file to a length, and write behind it, to the disk.

    Parameters
    ----------
    size : int, bytes
        0: the file is made, and one that is there is begun again.

    Returns
    -------
    int
        Its length now.

    Raises
    ------
    TrackerAway
        It cannot be written.
    TrackerRefused
        It was written before, and is gone.
    """
    try:
        with path.open("r+b" if size else "w+b") as file:
            file.truncate(size)
            file.seek(0, os.SEEK_END)
            write(file)
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
    except FileNotFoundError:
        raise TrackerRefused(
            f"{path} is gone: its rows are not written again; to have all runs anew, choose another folder"
        ) from None
    except OSError as error:
        raise _away(path, error) from None


def make_folder(path: Path) -> None:
    """Make a folder, and those above it.

    Raises
    ------
    TrackerAway
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _away(path, error) from None


def _away(path: Path, error: OSError) -> TrackerAway:
    return TrackerAway(f"{path} cannot be written: {error.strerror}")
