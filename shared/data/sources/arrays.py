"""Sources that are arrays already: scikit-learn's digits, and ``.npz`` files in MedMNIST's layout."""

from __future__ import annotations

import importlib.metadata
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy
from PIL import Image

from shared.data.pixels.decode import resize_image
from shared.data.pixels.files import OneFile
from shared.data.pixels.zip_archive import BROKEN_ZIP, METHODS
from shared.data.progress import progress_bar
from shared.data.sources.layout import advise
from shared.data.sources.table import Naming, Table
from shared.data.sources.targets import SEVERAL
from shared.runtime.errors import DataError, bullet_list

_SIDES = ("train", "val", "test")
_SHOWN = 8  # names of arrays in an error
_BLOCK_BYTES = 2**24  # images are streamed, and never all in memory

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]  # shape, Fortran order, type


@dataclass(frozen=True)
class Package:
    """The content of an installed package: its version says all about it."""

    name: str
    root: None = None

    def stamp(self) -> str:
        """Name and version."""
        return f"{self.name} {importlib.metadata.version(self.name)}"

    def digest(self) -> str:
        """Name and version."""
        return self.stamp()


@dataclass(frozen=True)
class DigitsSource:
    """`sklearn.datasets.load_digits`: 1797 images of 8 x 8 pixels in 10 classes."""

    content: Package
    naming: Naming

    def table(self) -> Table:
        """The labels."""
        return Table({"label": [str(label) for label in _load_digits().target]})

    def write(self, table: Table, *, out: Path, workers: int | None, progress: bool) -> dict[int, str]:
        """Scale 0..16 to 0..255, and resize."""
        levels = np.rint(_load_digits().images * 255 / 16).astype(np.uint8)
        _fill(np.load(out, mmap_mode="r+"), iter([levels]), progress=progress)
        return {}


@dataclass(frozen=True)
class NpzSource:
    """``train_images``, ``train_labels`` and the same for ``val`` and ``test``.

    Attributes
    ----------
    max_bytes : int
        Most bytes of all arrays, expanded.
    """

    content: OneFile
    naming: Naming
    max_bytes: int

    def table(self) -> Table:
        """Labels and splits.

        Raises
        ------
        DataError
            Not an ``.npz``, or keys, shapes or types that are not MedMNIST's; every problem is named.
        """
        path = self.content.root
        try:
            with zipfile.ZipFile(path) as archive:
                problems = _layout_problems(archive, self.max_bytes)
                labels = {} if problems else {side: _read(archive, f"{side}_labels") for side in _SIDES}
        except (*BROKEN_ZIP, OSError) as error:
            raise DataError(f"{path} is not an .npz file that can be read: {error}") from None
        if problems:
            raise DataError(f"{path} is not in MedMNIST's layout:\n" + bullet_list([*problems, *advise(path)]))
        return Table(
            {
                "label": [
                    SEVERAL.join(map(str, row))
                    for side in _SIDES
                    for row in labels[side].reshape(len(labels[side]), -1).tolist()
                ],
                "split": [side for side in _SIDES for _ in labels[side]],
            }
        )

    def write(self, table: Table, *, out: Path, workers: int | None, progress: bool) -> dict[int, str]:
        """Stream the images, and resize them.

        Raises
        ------
        DataError
            The file is damaged.
        """
        try:
            with zipfile.ZipFile(self.content.root) as archive:
                blocks = (block for side in _SIDES for block in _stream(archive, f"{side}_images"))
                _fill(np.load(out, mmap_mode="r+"), blocks, progress=progress)
        except (*BROKEN_ZIP, OSError) as error:
            raise DataError(f"the images of {self.content.root} cannot be read: {error}") from None
        return {}


def _layout_problems(archive: zipfile.ZipFile, max_bytes: int) -> list[str]:
    keys = [name.removesuffix(".npy") for name in archive.namelist()]
    wanted = [f"{side}_{kind}" for side in _SIDES for kind in ("images", "labels")]
    missing = [key for key in wanted if key not in keys]
    found = ", ".join(sorted(keys)[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
    problems = [f"there is no {', '.join(missing)}; what is there: {found or 'nothing'}"] if missing else []
    expanded = sum(entry.file_size for entry in archive.infolist())
    if expanded > max_bytes:
        problems.append(f"{expanded} bytes expanded, data.max_archive_bytes={max_bytes} are allowed")
    packed = sorted({entry.compress_type for entry in archive.infolist()} - set(METHODS))
    if packed:
        return [*problems, f"arrays are packed with methods that are not supported ({packed})"]
    headers = {}
    for key in wanted:
        if key in keys:
            with archive.open(f"{key}.npy") as handle:
                headers[key] = shape, _, dtype = _read_header(handle)
            if math.prod(shape) * dtype.itemsize > archive.getinfo(f"{key}.npy").file_size:
                problems.append(f"{key} declares {list(shape)} {dtype}, which is more than it holds")
    for side in _SIDES:
        images, labels = headers.get(f"{side}_images"), headers.get(f"{side}_labels")
        problems += _image_problems(f"{side}_images", images) if images else []
        problems += _label_problems(f"{side}_labels", labels) if labels else []
        first = headers.get("train_labels")
        if labels and first and _per_image(labels) != _per_image(first):
            problems.append(f"{side}_labels are {list(labels[0])}, train_labels {list(first[0])}")
        if images and labels and images[0][:1] != labels[0][:1]:
            problems.append(f"{side} has images {list(images[0])} but labels {list(labels[0])}")
    return problems


def _image_problems(key: str, header: Header) -> list[str]:
    shape, fortran, dtype = header
    problems = []
    if len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)) or 0 in shape:
        problems.append(f"{key} must be [N, H, W] or [N, H, W, 3] with N above 0, got {list(shape)}")
    if dtype != np.uint8:
        problems.append(f"{key} must be uint8, got {dtype}")
    if fortran:
        problems.append(f"{key} must lie in C order (numpy.ascontiguousarray), got Fortran order")
    return problems


def _label_problems(key: str, header: Header) -> list[str]:
    shape, _, dtype = header
    problems = []
    if len(shape) not in (1, 2) or 0 in shape[1:]:
        problems.append(
            f"{key} must be [N] or [N, 1], one label an image, or [N, labels] of 0 and 1, got {list(shape)}"
        )
    if dtype.kind not in "iu":
        problems.append(f"{key} must be integers, got {dtype}")
    return problems


def _per_image(header: Header) -> int:
    return math.prod(header[0][1:])


def _read_header(handle: IO[bytes]) -> Header:
    if npy.read_magic(handle) == (1, 0):
        return npy.read_array_header_1_0(handle)
    return npy.read_array_header_2_0(handle)


def _read(archive: zipfile.ZipFile, key: str) -> npt.NDArray[Any]:
    with archive.open(f"{key}.npy") as handle:
        array: npt.NDArray[Any] = npy.read_array(handle, allow_pickle=False)
        return array


def _stream(archive: zipfile.ZipFile, key: str) -> Iterator[npt.NDArray[np.uint8]]:
    with archive.open(f"{key}.npy") as handle:
        (total, *shape), _, _ = _read_header(handle)
        row_bytes = math.prod(shape)
        block = max(_BLOCK_BYTES // row_bytes, 1)
        for start in range(0, total, block):
            rows = min(block, total - start)
            data = handle.read(rows * row_bytes)
            if len(data) != rows * row_bytes:
                raise ValueError(f"{key} ends before its {total} rows do")
            yield np.frombuffer(data, dtype=np.uint8).reshape(rows, *shape)
        if handle.read(1):  # reading to the end checks the CRC too
            raise ValueError(f"{key} is longer than its {total} rows")


def _fill(out: npt.NDArray[np.uint8], blocks: Iterator[npt.NDArray[np.uint8]], *, progress: bool) -> None:
    total, channels, size, _ = out.shape
    row = 0
    with progress_bar("reading images", total=total, show=progress) as advance:
        for block in blocks:
            images = block[..., 0] if block.ndim == 4 and block.shape[3] == 1 else block
            if images.shape[1:] == (size, size):
                out[row : row + len(images)] = images[:, None]  # grey is broadcast over the channels
            else:
                for offset, pixels in enumerate(images):
                    out[row + offset] = resize_image(Image.fromarray(pixels), size=size, channels=channels)
            row += len(images)
            advance(len(images))
    assert row == total


def _load_digits() -> Any:
    from sklearn.datasets import load_digits  # takes longer to import than a whole load of a warm entry

    return load_digits()
