"""The files of MNIST, Fashion-MNIST, EMNIST and their like: ``train-images-idx3-ubyte`` and three others."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from shared.config.data import ImageDataConfig
from shared.data.pixels.files import FolderTree
from shared.data.pixels.levels import PixelRules
from shared.data.pixels.limits import FREE_TABLE_BYTES, ReadLimits, over
from shared.data.pixels.of_arrays import write_arrays
from shared.data.sources.array_headers import Header, blocks_of, image_problems, label_problems, size_problems
from shared.data.sources.table import Naming, Table
from shared.runtime.errors import DataError, bullet_list

# The first part of a name is the set's, where one folder holds several, such as EMNIST's.
_NAME = re.compile(
    r"(.*?)(train|val|t10k|test)[-_.](images|labels)[-_.]idx[134][-_.]ubyte(\.gz)?", re.IGNORECASE
)
_SIDES = {"train": "train", "val": "val", "t10k": "test", "test": "test"}
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}  # by the third byte of a file
_BROKEN = (OSError, EOFError, ValueError, zlib.error)


def idx_names(names: Sequence[str]) -> list[str]:
    """Those of some file names that are of such a set."""
    return [name for name in names if _NAME.fullmatch(name)]


def open_idx(folder: Path, cfg: ImageDataConfig) -> IdxSource:
    """The set in a folder.

    Raises
    ------
    DataError
        There are several.
    """
    names = tuple(path.name for path in _files_in(folder).values())
    content = FolderTree(folder, names, ReadLimits.of(cfg))
    return IdxSource(content, Naming(str(folder), numbered=True), cfg)


@dataclass(frozen=True)
class IdxSource:
    """A folder with images and labels of ``train`` and ``t10k`` (or ``test``), and of ``val`` if it has them.

    The format is LeCun's: two bytes of zero, one for the type, one for the number of axes, the axes as 32-bit
    integers, the values; all big-endian, and gzipped or not. Of a file that is there both ways the one that is
    not packed is read.

    Attributes
    ----------
    cfg : ImageDataConfig
        Its limits are checked in the headers.
    """

    content: FolderTree
    naming: Naming
    cfg: ImageDataConfig

    def table(self) -> Table:
        """Labels and splits.

        Raises
        ------
        DataError
            Files are missing, or are not what their names say; every problem is named.
        """
        files = _files_in(self.content.root)
        headers: dict[str, Header] = {}
        problems = _missing(files)
        for key, path in files.items():
            try:
                with _opened(path) as handle:
                    headers[key] = _read_header(handle)
            except _BROKEN as error:
                problems.append(f"{path.name} cannot be read: {error}")
        problems += self._problems(files, headers)
        if problems:
            raise DataError(f"{self.content.root} holds no set in MNIST's layout:\n" + bullet_list(problems))
        sides = _sides_in(files)
        try:
            labels = {side: np.concatenate([*_stream(files[f"{side}_labels"])]) for side in sides}
        except _BROKEN as error:
            raise DataError(f"the labels in {self.content.root} cannot be read: {error}") from None
        return Table(
            {
                "label": [str(label) for side in sides for label in labels[side].tolist()],
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
            A file is damaged.
        """
        files = _files_in(self.content.root)
        try:
            blocks = chain.from_iterable(_stream(files[f"{side}_images"]) for side in _sides_in(files))
            write_arrays(blocks, out=out, rules=rules, progress=progress)
        except _BROKEN as error:
            raise DataError(f"the images in {self.content.root} cannot be read: {error}") from None
        return {}

    def _problems(self, files: dict[str, Path], headers: dict[str, Header]) -> list[str]:
        packed = sum(path.stat().st_size for path in files.values())
        problems = size_problems(headers, self.cfg, packed=packed)
        for key, header in headers.items():
            shape, _, dtype = header
            found = image_problems(key, header) if key.endswith("_images") else label_problems(key, header)
            problems += [f"{files[key].name}: {text}" for text in found]
            size, stored = math.prod(shape) * dtype.itemsize, files[key].stat().st_size
            if size > max(stored * self.cfg.max_archive_ratio, FREE_TABLE_BYTES):
                times = f"{size / max(stored, 1):.0f} times what is stored"
                text = f"{files[key].name} declares {size} bytes, {times}"
                problems.append(over(text, "max_archive_ratio", self.cfg.max_archive_ratio))
            if key.endswith("_labels") and len(shape) > 1:
                problems.append(f"{files[key].name} must be [N], one label an image, got {list(shape)}")
        for side in _sides_in(files):
            images, labels = headers.get(f"{side}_images"), headers.get(f"{side}_labels")
            if images and labels and images[0][:1] != labels[0][:1]:
                problems.append(f"{side} has images {list(images[0])} but labels {list(labels[0])}")
        return problems


def _files_in(folder: Path) -> dict[str, Path]:
    # By side and kind, such as train_images.
    found: dict[str, dict[str, Path]] = {}
    for name in idx_names(sorted(path.name for path in folder.iterdir() if path.is_file())):
        match = _NAME.fullmatch(name)
        assert match
        prefix, side, kind, _ = match.groups()
        files = found.setdefault(prefix, {})
        files.setdefault(f"{_SIDES[side.lower()]}_{kind.lower()}", folder / name)  # x before x.gz
    if len(found) > 1:
        names = ", ".join(repr(prefix.rstrip("-_.")) for prefix in sorted(found))
        raise DataError(f"{folder} holds several sets ({names}); put the files of one into a folder of its own")
    return next(iter(found.values()), {})


def _missing(files: dict[str, Path]) -> list[str]:
    absent = [f"{side}-{kind}" for side in _sides_in(files) for kind in ("images", "labels")]
    absent = [name for name in absent if name.replace("-", "_") not in files]
    axes = {"images": 3, "labels": 1}
    return [
        f"there is no file {name}-idx{axes[name.split('-')[1]]}-ubyte, packed (.gz) or not" for name in absent
    ]


def _sides_in(files: dict[str, Path]) -> list[str]:
    # Validation rows that are not there are drawn from the training rows.
    return ["train", *(["val"] if any(key.startswith("val") for key in files) else []), "test"]


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.open(file) as expanded:
            yield cast("IO[bytes]", expanded)


def _read_header(handle: IO[bytes]) -> Header:
    magic = handle.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        begins = magic.hex(" ") or "nothing"
        raise ValueError(f"an idx file begins with 00 00 and its type, this one with {begins}")
    axes = magic[3]
    declared = handle.read(4 * axes)
    if len(declared) < 4 * axes:
        raise ValueError(f"it ends within its header of {axes} axes")
    shape = tuple(int(size) for size in np.frombuffer(declared, dtype=">u4"))
    return shape, False, np.dtype(_TYPES[magic[2]])


def _stream(path: Path) -> Iterator[npt.NDArray[Any]]:
    with _opened(path) as handle:
        (count, *shape), _, dtype = _read_header(handle)
        yield from blocks_of(handle, path.name, count=count, shape=shape, dtype=dtype)
