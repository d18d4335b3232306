"""Seals: what tells that the files of a cache entry are those that were written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

_SEAL = "seal.json"
# Of these, which may have gigabytes, size and parts all over are hashed: to read all would take longer than the
# start of a training. Others are hashed whole.
SAMPLED = ("images.npy", "inputs.npy")
_PART = 2**16  # bytes that are read at each of `_PARTS` places
_PARTS = 64
# What a damaged entry raises when it is read; damage so deep that memory does not suffice, or a header that is
# no Python, too.
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    SyntaxError,
    MemoryError,
    RecursionError,
    EOFError,
)


def write_seal(folder: Path) -> None:
    """Seal the files of a folder, as they are now."""
    (folder / _SEAL).write_text(json.dumps(_seal(folder)), encoding="utf-8")


def check_seal(folder: Path) -> None:
    """Make sure that the files are those that were sealed.

    Raises
    ------
    ValueError, OSError
    """
    found = _seal(folder)
    if not found or json.loads((folder / _SEAL).read_text(encoding="utf-8")) != found:
        raise ValueError("its files are not those that were written")


def is_whole(folder: Path) -> bool:
    """Whether an entry of the cache is as it was written; one of an older version has no seal."""
    try:
        check_seal(folder)
    except DAMAGE:
        return False
    return True


def _seal(folder: Path) -> dict[str, str]:
    return {path.name: _sum(path) for path in sorted(folder.iterdir()) if path.name != _SEAL}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        if path.name not in SAMPLED:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        size = path.stat().st_size
        part = hashlib.blake2b(str(size).encode(), digest_size=16)
        for place in sorted({size * number // _PARTS for number in range(_PARTS)} | {max(size - _PART, 0)}):
            file.seek(place)
            part.update(file.read(_PART))
        return part.hexdigest()
