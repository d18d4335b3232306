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

from shared.config.data import ImageDataConfig
from shared.data.pixels.files import OneFile
from shared.data.pixels.levels import PixelRules
from shared.data.pixels.limits import FREE_TABLE_BYTES, over
from shared.data.pixels.of_arrays import type_words, write_arrays
from shared.data.pixels.zip_archive import BROKEN_ZIP, METHODS, check_count
from shared.data.sources.array_headers import (
    Header,
    blocks_of,
    image_problems,
    label_problems,
    labels_per_image,
    size_problems,
)
from shared.data.sources.layout import advise
from shared.data.sources.table import Naming, Table
from shared.data.sources.targets import SEVERAL
from shared.runtime.errors import DataError, bullet_list

_SIDES = ("train", "val", "test")
_SHOWN = 8  # names of arrays in an error


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

    def write(
        self, table: Table, *, out: Path, rules: PixelRules, workers: int | None, progress: bool
    ) -> dict[int, str]:
        """Scale 0..16 to 0..255, and resize."""
        images = np.rint(_load_digits().images * 255 / 16).astype(np.uint8)
        write_arrays(iter([images]), out=out, rules=rules, progress=progress)
        return {}


@dataclass(frozen=True)
class NpzSource:
    """``train_images``, ``train_labels`` and the same for ``test``, and for ``val`` if it is there.

    Attributes
    ----------
    cfg : ImageDataConfig
        Its limits are checked in the headers of the arrays.
    """

    content: OneFile
    naming: Naming
    cfg: ImageDataConfig

    def table(self) -> Table:
        """Labels and splits.

        Raises
        ------
        DataError
            Not an ``.npz``, or keys, shapes or types that are not MedMNIST's; every problem is named.
        """
        path = self.content.root
        try:
            check_count(path, self.cfg.max_archive_files)
            with zipfile.ZipFile(path) as archive:
                problems = _layout_problems(archive, self.cfg)
                sides = _sides_in(archive)
                labels = {} if problems else {side: _read(archive, f"{side}_labels") for side in sides}
        except (*BROKEN_ZIP, OSError) as error:
            raise DataError(f"{path} is not an .npz file that can be read: {error}") from None
        if problems:
            hints = advise(path, but="npz")
            raise DataError(f"{path} is not in MedMNIST's layout:\n" + bullet_list([*problems, *hints]))
        return Table(
            {
                "label": [
                    SEVERAL.join(map(str, row))
                    for side in sides
                    for row in labels[side].reshape(len(labels[side]), -1).tolist()
                ],
                "split": [side for side in sides for _ in labels[side]],
            }
        )

    def write(
        self, table: Table, *, out: Path, rules: PixelRules, workers: int | None, progress: bool
    ) -> dict[int, str]:
        """Stream the images, scale and resize them.

        Raises
        ------
        DataError
            The file is damaged.
        """
        try:
            with zipfile.ZipFile(self.content.root) as archive:
                blocks = (block for side in _sides_in(archive) for block in _stream(archive, f"{side}_images"))
                write_arrays(blocks, out=out, rules=rules, progress=progress)
        except (*BROKEN_ZIP, OSError) as error:
            raise DataError(f"the images of {self.content.root} cannot be read: {error}") from None
        return {}


def _sides_in(archive: zipfile.ZipFile) -> list[str]:
    # Validation rows that are not there are drawn from the training rows.
    return [side for side in _SIDES if side != "val" or any(map(_is_of_val, archive.namelist()))]


def _is_of_val(name: str) -> bool:
    return name.startswith("val_")


def _layout_problems(archive: zipfile.ZipFile, cfg: ImageDataConfig) -> list[str]:
    keys = [name.removesuffix(".npy") for name in archive.namelist()]
    wanted = [f"{side}_{kind}" for side in _sides_in(archive) for kind in ("images", "labels")]
    missing = [key for key in wanted if key not in keys]
    found = ", ".join(sorted(keys)[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
    problems = [f"there is no {', '.join(missing)}; what is there: {found or 'nothing'}"] if missing else []
    expanded = sum(entry.file_size for entry in archive.infolist())
    if expanded > cfg.max_archive_bytes:
        problems.append(over(f"{expanded} bytes expanded", "max_archive_bytes", cfg.max_archive_bytes))
    packed = sorted({entry.compress_type for entry in archive.infolist()} - set(METHODS))
    if packed:
        return [*problems, f"arrays are packed with methods that are not supported ({packed})"]
    headers = {}
    for key in wanted:
        if key in keys:
            with archive.open(f"{key}.npy") as handle:
                headers[key] = shape, _, dtype = _read_header(handle)
            entry = archive.getinfo(f"{key}.npy")
            ratio = entry.file_size / max(entry.compress_size, 1)
            if ratio > cfg.max_archive_ratio and entry.file_size > FREE_TABLE_BYTES:
                found = f"{key} has {entry.file_size} bytes, {ratio:.0f} times what it has packed"
                problems.append(over(found, "max_archive_ratio", cfg.max_archive_ratio))
            if math.prod(shape) * dtype.itemsize > archive.getinfo(f"{key}.npy").file_size:
                problems.append(
                    f"{key} declares {list(shape)} {type_words(dtype)}, which is more than it holds"
                )
    problems += size_problems(headers, cfg, packed=sum(entry.compress_size for entry in archive.infolist()))
    for side in _SIDES:
        images, labels = headers.get(f"{side}_images"), headers.get(f"{side}_labels")
        problems += image_problems(f"{side}_images", images) if images else []
        problems += label_problems(f"{side}_labels", labels) if labels else []
        first = headers.get("train_labels")
        if labels and first and labels_per_image(labels) != labels_per_image(first):
            problems.append(f"{side}_labels are {list(labels[0])}, train_labels {list(first[0])}")
        if images and labels and images[0][:1] != labels[0][:1]:
            problems.append(f"{side} has images {list(images[0])} but labels {list(labels[0])}")
    return problems


def _read_header(handle: IO[bytes]) -> Header:
    if npy.read_magic(handle) == (1, 0):
        return npy.read_array_header_1_0(handle)
    return npy.read_array_header_2_0(handle)


def _read(archive: zipfile.ZipFile, key: str) -> npt.NDArray[Any]:
    with archive.open(f"{key}.npy") as handle:
        array: npt.NDArray[Any] = npy.read_array(handle, allow_pickle=False)
        return array


def _stream(archive: zipfile.ZipFile, key: str) -> Iterator[npt.NDArray[Any]]:
    with archive.open(f"{key}.npy") as handle:
        (total, *shape), _, dtype = _read_header(handle)
        yield from blocks_of(handle, key, count=total, shape=shape, dtype=dtype)


def _load_digits() -> Any:
    from sklearn.datasets import load_digits  # takes longer to import than a whole load of a warm entry

    return load_digits()
