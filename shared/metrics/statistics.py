"""`Statistics`: named arrays of counts and sums that add up over clients, and their compact bytes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COUNT, _SUM = np.dtype("<u4"), np.dtype("<f8")


@dataclass(frozen=True, slots=True)
class Layout:
    """What one array of some statistics looks like.

    Attributes
    ----------
    counts : bool
        Whether it holds counts (int64, never negative), else sums (float64).
    """

    shape: tuple[int, ...]
    counts: bool

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Statistics:
    """What is known of some rows and can be added to what is known of others.

    Attributes
    ----------
    arrays : mapping of str to ndarray
        Counts (int64) and sums (float64) by name.
    """

    arrays: Mapping[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One array."""
        return self.arrays[name]

    def __add__(self, other: Statistics) -> Statistics:
        """The statistics of both sets of rows."""
        assert {name: array.shape for name, array in self.arrays.items()} == {
            name: array.shape for name, array in other.arrays.items()
        }
        return Statistics({name: array + other[name] for name, array in self.arrays.items()})

    def check_rows(self, rows: int) -> None:
        """Make sure that the count ``rows`` is so many.

        Raises
        ------
        ValueError
        """
        if (told := int(self["rows"][0])) != rows:
            raise ValueError(f"rows is {told}, expected {rows}")

    def to_bytes(self) -> dict[str, bytes]:
        """Pack each array; of counts, only those that are not 0.

        Returns
        -------
        dict of str to bytes
            Counts: the distances between the filled cells, then their counts, each as four planes of bytes,
            deflated. Sums: 8 bytes each.
        """
        return {
            name: _pack_counts(array) if array.dtype.kind == "i" else array.astype(_SUM).tobytes()
            for name, array in self.arrays.items()
        }

    @classmethod
    def from_bytes(cls, packed: Mapping[str, bytes], *, layout: Mapping[str, Layout]) -> Statistics:
        """Unpack what `to_bytes` packed, or somebody else made up.

        Raises
        ------
        ValueError
            The names, or the bytes of an array, do not fit the layout.
        """
        if packed.keys() != layout.keys():
            raise ValueError(f"expected the statistics {sorted(layout)}, got {sorted(packed)}")
        return cls({name: _unpack(packed[name], name, own) for name, own in layout.items()})


def _pack_counts(counts: NDArray[Any]) -> bytes:
    flat = counts.ravel()
    filled = np.flatnonzero(flat)
    columns = np.stack([np.diff(filled, prepend=-1) - 1, flat[filled]]).astype(_COUNT)
    planes = np.ascontiguousarray(columns).view(np.uint8).reshape(2, len(filled), _COUNT.itemsize)
    return zlib.compress(planes.transpose(0, 2, 1).tobytes(), 9)


def _unpack(data: bytes, name: str, layout: Layout) -> NDArray[Any]:
    if not layout.counts:
        if len(data) != layout.size * _SUM.itemsize:
            raise ValueError(f"{name} has {len(data)} bytes, expected {layout.size * _SUM.itemsize}")
        sums = np.frombuffer(data, _SUM).reshape(layout.shape)
        if not np.isfinite(sums).all():
            raise ValueError(f"{name} has sums that are not finite")
        return sums
    most = 2 * _COUNT.itemsize * layout.size
    reader = zlib.decompressobj()
    try:
        planes = reader.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(f"{name} cannot be read: {error}") from None
    if len(planes) > most or not reader.eof or reader.unused_data or len(planes) % (2 * _COUNT.itemsize):
        raise ValueError(f"{name} does not hold {layout.size} counts or fewer")
    bytes_of = np.frombuffer(planes, np.uint8).reshape(2, _COUNT.itemsize, -1).transpose(0, 2, 1)
    gaps, filled = np.ascontiguousarray(bytes_of).view(_COUNT)[..., 0].astype(np.int64)
    places = np.cumsum(gaps + 1) - 1
    if len(places) and places[-1] >= layout.size:
        raise ValueError(f"{name} has counts beyond its {layout.size} cells")
    counts = np.zeros(layout.size, dtype=np.int64)
    counts[places] = filled
    return counts.reshape(layout.shape)
