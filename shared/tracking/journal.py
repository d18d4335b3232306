"""`Journal`: a file in which changes of one run wait for the database; it outlives the process."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.runtime.files import disk_error

# A full disk must not keep the reason of a run's end from being written: room is taken when the run begins.
RESERVED = 256 * 1024
FOR_THE_END = 64 * 1024
_BATCH = 1024 * 1024
_mine: set[Path] = set()  # a second open file of this process would end its lock


class Journal:
    """Lines of JSON behind a first one that says whose they are; locked while the process lives.

    Parameters
    ----------
    path : Path
        Its folder is made if it is missing; the file must not be there.
    head : mapping
        Of the first line.

    Raises
    ------
    DiskError
        It cannot be made.
    """

    def __init__(self, path: Path, *, head: Mapping[str, Any]) -> None:
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise disk_error(error, path=path) from None
        _mine.add(path)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self._file, 0, RESERVED)
            self._first = self.end = 0
            self._put(json.dumps(dict(head)).encode() + b"\n")
            self._first = self.end
        except OSError as error:
            self.close(remove=True)
            raise disk_error(error, path=path) from None

    @property
    def first(self) -> int:
        """Where the lines begin, in bytes."""
        return self._first

    def append(self, record: Mapping[str, Any], *, last: bool = False) -> None:
        """Add a line; it is on disk when this returns.

        Parameters
        ----------
        last : bool
            Whether it is the end of the run, for which there is room on a full disk too.

        Raises
        ------
        DiskError
            The disk is full, or cannot be written to.
        """
        text = json.dumps(dict(record), ensure_ascii=False, default=str)
        line = text.encode("utf-8", "replace") + b"\n"
        try:
            beyond = self.end + len(line) - (RESERVED - FOR_THE_END)
            if beyond > 0 and not last:
                # At once for the line and what the end may take: half a line would hide what follows.
                os.posix_fallocate(self._file, 0, self.end + len(line) + FOR_THE_END)
            self._put(line)
        except OSError as error:
            raise disk_error(error, path=self.path) from None

    def read(self, start: int) -> tuple[list[dict[str, Any]], int]:
        """Some lines from a place on, and where the next ones begin."""
        content = os.pread(self._file, min(_BATCH, self.end - start), start)
        if b"\n" not in content:  # one long line
            content = os.pread(self._file, self.end - start, start)
        whole = content[: content.rindex(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines()], start + len(whole)

    def clear(self) -> None:
        """Forget all lines."""
        # Zeros, not a shorter file: the room stays ours.
        if self.end > RESERVED:
            os.ftruncate(self._file, RESERVED)
        os.pwrite(self._file, bytes(min(self.end, RESERVED) - self._first), self._first)
        os.fdatasync(self._file)
        self.end = self._first

    def close(self, *, remove: bool) -> None:
        """Let others have it, or remove it."""
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._file)
        _mine.discard(self.path)

    def _put(self, line: bytes) -> None:
        place = self.end
        while line:
            written = os.pwrite(self._file, line, place)
            place, line = place + written, line[written:]
        os.fdatasync(self._file)
        self.end = place


class LeftJournal:
    """The journal of a process that is gone.

    Attributes
    ----------
    head : dict
        See `Journal`.
    records : list of dict
        Its whole lines.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        lines = content.partition(b"\0")[0].split(b"\n")[:-1]  # a line that was cut has no end
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        self.path = path
        self.head: dict[str, Any] = found[0] if found else {}
        self.records: list[dict[str, Any]] = found[1:]


def left_journals(folder: Path) -> Iterator[LeftJournal]:
    """The journals of processes that are gone, each locked until the next; none where they cannot be read."""
    try:
        paths = sorted(folder.glob("run-*.jsonl"))
    except PermissionError:  # another user's, in a home that others may read
        return
    for path in paths:
        if path in _mine:
            continue
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        except OSError:  # on a disk that is read-only nobody writes it now
            try:
                yield LeftJournal(path, path.read_bytes())
            except OSError:
                continue
            continue
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = os.fstat(file).st_size
            content = b""
            while len(content) < size and (part := os.pread(file, size - len(content), len(content))):
                content += part
            yield LeftJournal(path, content)
        except OSError:
            continue  # its process lives
        finally:
            os.close(file)
