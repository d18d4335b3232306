"""`SharedBuffer`: shared memory that carries the arrays of messages between processes."""

from __future__ import annotations

import io
import os
import pickle
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

from flwr.app import Array


class SharedObject(NamedTuple):
    """A pickled object whose arrays are in shared memory.

    Attributes
    ----------
    path : str
        Of the shared memory, for the other process to open.
    slices : list of tuple
        Dtype, shape, Flower's array type, start and end byte of each array.
    rest : bytes
        The pickled object, with indices in place of its arrays.
    """

    path: str
    slices: list[tuple[str, tuple[int, ...], str, int, int]]
    rest: bytes


def pickle_without_arrays(thing: Any) -> tuple[bytes, list[Array]]:
    """Pickle an object without its arrays.

    Returns
    -------
    bytes
    list of Array
        Flower's arrays, by index.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.dump(thing)
    return buffer.getvalue(), pickler.arrays


class SharedBuffer:
    """Memory that this process writes and others read; freed when the last process closes it."""

    def __init__(self) -> None:
        self._file: tempfile._TemporaryFileWrapper[bytes] | None = None
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("fedtwin")  # not in /dev/shm, which is small in containers
            self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        else:
            self._file = tempfile.NamedTemporaryFile(prefix="fedtwin-")  # noqa: SIM115  # closed by `close`
            self._descriptor, self.path = self._file.fileno(), self._file.name

    def fill(self, arrays: Sequence[Array]) -> list[tuple[str, tuple[int, ...], str, int, int]]:
        """Write arrays, replacing the previous content.

        Returns
        -------
        list of tuple
            As in `SharedObject.slices`.
        """
        slices, end = [], 0
        for array in arrays:
            start, end = end, end + len(array.data)
            _write(self._descriptor, array.data, start)
            slices.append((array.dtype, tuple(array.shape), array.stype, start, end))
        return slices

    def close(self) -> None:
        """Release the memory."""
        if self._file is not None:
            self._file.close()
        else:
            os.close(self._descriptor)


class BufferReader:
    """Opens shared buffers of other processes, each once."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def read(self, received: SharedObject) -> Any:
        """Restore an object, with copies of its arrays.

        Raises
        ------
        OSError
            The process that loaded the buffer is gone.
        """
        if received.path not in self._open:
            self._open[received.path] = os.open(received.path, os.O_RDONLY)
        descriptor = self._open[received.path]
        arrays = [
            Array(dtype=dtype, shape=shape, stype=stype, data=_read(descriptor, start, end))
            for dtype, shape, stype, start, end in received.slices
        ]
        return _Unpickler(io.BytesIO(received.rest), arrays).load()

    def forget(self, path: str) -> None:
        """Close a buffer whose process is gone."""
        if (descriptor := self._open.pop(path, None)) is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Close all buffers."""
        for path in list(self._open):
            self.forget(path)


class _Pickler(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, *, protocol: int) -> None:
        super().__init__(buffer, protocol=protocol)
        self.arrays: list[Array] = []

    def persistent_id(self, thing: Any) -> int | None:
        if type(thing) is not Array:
            return None
        self.arrays.append(thing)
        return len(self.arrays) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, buffer: io.BytesIO, arrays: Sequence[Array]) -> None:
        super().__init__(buffer)
        self._arrays = arrays

    def persistent_load(self, number: int) -> Array:
        return self._arrays[number]


def _write(descriptor: int, data: bytes, start: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, start)
        view, start = view[written:], start + written


def _read(descriptor: int, start: int, end: int) -> bytes:
    parts = []
    while start < end:
        part = os.pread(descriptor, end - start, start)
        if not part:
            raise OSError("shared memory ends before its array does")
        parts.append(part)
        start += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
