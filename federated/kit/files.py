"""The files of a kit: written for their owner's eyes alone, and packed into an archive with its SHA-256."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import tarfile
from pathlib import Path

from shared.runtime.files import replacing

MADE_AT_START = ("state", "flower")  # never packed: what a kit's processes write
PRIVATE, RUNNABLE, FOLDER = 0o600, 0o700, 0o700


def make_folder(path: Path) -> Path:
    """Make a folder that only its owner enters.

    Returns
    -------
    Path
        The same.
    """
    path.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    path.chmod(FOLDER)
    return path


def write_private(path: Path, content: bytes | str, *, runnable: bool = False) -> None:
    """Write a file that only its owner reads: whole, or not at all.

    Parameters
    ----------
    content : bytes or str
    runnable : bool
        Whether it is a script.
    """
    make_folder(path.parent)
    with replacing(path, mode=RUNNABLE if runnable else PRIVATE) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def open_to_others(path: Path) -> int | None:
    """The mode of a secret that more than its owner may use.

    Returns
    -------
    int or None
        None: all is well.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    return mode if mode & ~PRIVATE else None


def pack(folder: Path, *, archive: Path) -> str:
    """Pack a folder as ``.tar.gz``, and write its SHA-256 beside it, as ``sha256sum --check`` reads it.

    Parameters
    ----------
    folder : Path
        Becomes the one folder at the top.

    Returns
    -------
    str
        SHA-256, hex; the same files give the same.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.relative_to(folder).parts[0] in MADE_AT_START:
                continue
            entry = tar.gettarinfo(str(path), arcname=str(Path(folder.name) / path.relative_to(folder)))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if path.is_dir():
                tar.addfile(entry)
            else:
                with path.open("rb") as file:
                    tar.addfile(entry, file)
    content = gzip.compress(buffer.getvalue(), mtime=0)
    digest = hashlib.sha256(content).hexdigest()
    write_private(archive, content)
    write_private(archive.with_name(f"{archive.name}.sha256"), f"{digest}  {archive.name}\n")
    return digest
