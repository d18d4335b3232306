"""The cache of images and tables that were read: entries that are whole or not there, and content hashes."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from shared.runtime.files import replacing, sync

IMAGES, TABLES = "images", "tables"
_TEMPORARY = ".tmp"


def open_entry(
    cache_dir: Path,
    *,
    key: str,
    build: Callable[[Path], None],
    kind: str = IMAGES,
    source: Path | None = None,
) -> Path:
    """The folder of an entry, built if it is not there.

    Any number of processes may ask at the same time: one builds, the others wait for it. A process that dies
    while it builds leaves a temporary folder that the next call, for whichever key, removes.

    Parameters
    ----------
    cache_dir : Path
        Made if it is missing.
    key : str
        Hex.
    build : callable
        Fills an empty folder; what it raises is passed on and leaves nothing behind.
    kind : {"images", "tables"}
    source : Path, optional
        What it is read from, see `drop_entries_of`.
    """
    folders = cache_dir / kind
    folders.mkdir(parents=True, exist_ok=True)
    _remove_stale(cache_dir)
    entry = folders / key
    if _is_own(entry):
        with suppress(OSError):  # of a cache that can only be read nothing is pruned
            os.utime(entry)
        return entry
    with locked(cache_dir, key):
        if _is_own(entry):
            return entry
        _remove(entry)
        folder = folders / f"{key}.{secrets.token_hex(4)}{_TEMPORARY}"
        folder.mkdir()
        try:
            build(folder)
            for path in (*folder.iterdir(), folder):
                sync(path)
            if source is not None:  # beside the entry, whose files are sealed
                with replacing(_source_of(cache_dir, key)) as file:
                    file.write(os.fsencode(source))
            folder.rename(entry)
            sync(folders)
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # gone already if all went well
    return entry


def drop_entry(cache_dir: Path, *, key: str) -> None:
    """Remove an entry that is damaged, or that nobody needs."""
    with locked(cache_dir, key):
        for kind in (IMAGES, TABLES):
            _remove(cache_dir / kind / key)
        _source_of(cache_dir, key).unlink(missing_ok=True)


def drop_entries_of(cache_dir: Path, *, source: Path) -> None:
    """Remove what was read from a file or folder that is deleted; the same content elsewhere is read again."""
    for path in entries(cache_dir):
        with suppress(OSError):  # an entry from before sources were kept, or one that has just gone
            if _source_of(cache_dir, path.name).read_bytes() == os.fsencode(source):
                drop_entry(cache_dir, key=path.name)
    _memo(cache_dir, source).unlink(missing_ok=True)


def entries(cache_dir: Path) -> list[Path]:
    """All entries, those that are under way (``.tmp``) among them."""
    return [path for kind in (IMAGES, TABLES) for path in (cache_dir / kind).glob("*") if _is_own(path)]


def unused_entries(cache_dir: Path, *, since: datetime) -> list[Path]:
    """Entries that no run has opened since a time; those that are under way are not among them."""
    whole = [path for path in entries(cache_dir) if path.suffix != _TEMPORARY]
    return sorted(path for path in whole if path.stat().st_mtime < since.timestamp())


def remember_digest(cache_dir: Path, *, path: Path, stamp: str, compute: Callable[[], str]) -> str:
    """The hash of a file's or folder's content, computed again only if its stamp changed.

    Parameters
    ----------
    path : Path
        Absolute.
    stamp : str
        Size and time of the file, or of all files of the folder.
    compute : callable
        Reads the content.
    """
    memo = _memo(cache_dir, path)
    known = _recall(memo, stamp)
    if known is not None:
        return known
    with locked(cache_dir, memo.stem):
        known = _recall(memo, stamp)
        if known is not None:
            return known
        digest = compute()
        if memo.is_dir():
            _remove(memo)
        with replacing(memo) as file:
            file.write(json.dumps({"stamp": stamp, "digest": digest}).encode())
    return digest


@contextmanager
def locked(cache_dir: Path, name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock that excludes other processes; it ends with the process that holds it.

    Parameters
    ----------
    wait : bool
        Without it, a lock that is held elsewhere is not waited for.

    Yields
    ------
    bool
        Whether the lock is held.
    """
    import filelock  # not at the top: it takes longer than a whole load of a warm entry

    path = cache_dir / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _source_of(cache_dir: Path, key: str) -> Path:
    """Where is kept which file or folder an entry was read from."""
    return cache_dir / "sources" / f"{key}.txt"


def _memo(cache_dir: Path, path: Path) -> Path:
    return cache_dir / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"


def _is_own(entry: Path) -> bool:
    # A link may lead to what others write.
    return entry.is_dir() and not entry.is_symlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _recall(memo: Path, stamp: str) -> str | None:
    try:
        known = json.loads(memo.read_text())
        return str(known["digest"]) if known["stamp"] == stamp else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # never written, or damaged: computed again


def _remove_stale(cache_dir: Path) -> None:
    for folder in (path for path in entries(cache_dir) if path.suffix == _TEMPORARY):
        # Only the holder of the lock writes there, so whoever gets the lock finds nobody alive.
        with locked(cache_dir, folder.name.split(".")[0], wait=False) as held:
            if held:
                shutil.rmtree(folder, ignore_errors=True)
