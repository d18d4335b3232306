"""`Entry`: decoded images with their table and facts, as the cache holds them; built if they are not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.config.data import ImageDataConfig
from shared.data.cache import drop_entry, open_entry, remember_digest
from shared.data.pixels.facts import FACTS, facts_beside
from shared.data.pixels.files import Content
from shared.data.pixels.levels import PixelRules
from shared.data.progress import progress_bar
from shared.data.seal import DAMAGE, check_seal, write_seal
from shared.data.sources.missing import in_one
from shared.data.sources.open import Source
from shared.data.sources.table import Annotations, Table, annotate
from shared.data.sources.targets import TargetReader
from shared.runtime.errors import DataError, ImageDecodeError, bullet_list
from shared.runtime.files import disk_error, is_of_disk

_FORMAT = 5  # of a cache entry; counts up when the same files would give other pixels or rows
_IMAGES, _TABLE = "images.npy", "table.json"


@dataclass(frozen=True)
class Entry:
    """What the cache holds of a source, read by some rules.

    Attributes
    ----------
    key : str
        Hex; of content and rules.
    images : ndarray [N, C, H, W], uint8
        Memory-mapped, read-only.
    facts : ndarray [N] of `shared.data.pixels.facts.FACTS`
    bad : list of str
        Rows that could not be read, and are not among the others.
    """

    key: str
    images: npt.NDArray[np.uint8]
    facts: npt.NDArray[Any]
    table: Table
    bad: list[str]


def read_entry(
    cfg: ImageDataConfig,
    source: Source,
    *,
    rules: PixelRules,
    cache_dir: Path,
    read_targets: TargetReader,
    progress: bool,
    decode: bool = True,
) -> Entry:
    """Read the entry of a source, and build it if it is not there or damaged.

    Parameters
    ----------
    rules : PixelRules
        How its images are read.
    cache_dir, read_targets, progress, decode
        See `shared.data.images.dataset.load_images`.

    Raises
    ------
    DataError
        Its subclasses name all files and rows that are wrong.
    """
    stamp = source.content.stamp()
    digest = _digest(source.content, stamp, cache_dir, progress=progress)
    parts = [_FORMAT, type(source).__name__, digest, cfg.columns.filename, rules.to_json()]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def build(folder: Path) -> None:
        if not decode:
            raise DataError(
                f"the images of {source.naming.origin} as they are now are not in the cache {cache_dir}"
            )
        _build(cfg, source, folder, rules=rules, read_targets=read_targets, progress=progress)
        if source.content.stamp() != stamp:
            raise DataError(f"{source.naming.origin} changed while it was read; run again")

    place = source.content.root
    folder = open_entry(cache_dir, key=key, build=build, source=place)
    try:
        entry = _read(folder, key, rules)
    except DAMAGE:
        drop_entry(cache_dir, key=key)  # damaged from outside; the source has all that is needed
        entry = _read(open_entry(cache_dir, key=key, build=build, source=place), key, rules)
    _judge(entry.bad, len(entry.table) + len(entry.bad), cfg, source.naming.origin)
    return entry


def annotate_rows(
    cfg: ImageDataConfig, source: Source, table: Table, read_targets: TargetReader
) -> Annotations:
    """What the rows of a source mean by the configuration, see `shared.data.sources.table.annotate`."""
    return annotate(
        table, naming=source.naming, classes=cfg.classes, positive=cfg.positive, read_targets=read_targets
    )


def _digest(content: Content, stamp: str, cache_dir: Path, *, progress: bool) -> str:
    root = content.root
    if root is None:
        return content.digest()

    def compute() -> str:
        with progress_bar(f"reading {root}", total=None, show=progress):
            return content.digest()

    return remember_digest(cache_dir, path=root, stamp=stamp, compute=compute)


def _build(
    cfg: ImageDataConfig,
    source: Source,
    folder: Path,
    *,
    rules: PixelRules,
    read_targets: TargetReader,
    progress: bool,
) -> None:
    table = source.table()
    before = annotate_rows(cfg, source, table, read_targets)  # fails before hours of decoding
    shape = (len(table), cfg.channels, cfg.image_size, cfg.image_size)
    needed, free = int(np.prod(shape)), shutil.disk_usage(folder).free
    if needed > free:  # else the mapped file ends the process with a bus error
        raise DataError(
            f"the disk of {folder} has {free / 1e6:,.1f} MB free, the decoded images need "
            f"{needed / 1e6:,.1f} MB: make room, or set FEDTWIN_HOME to another disk"
        )
    out = folder / _IMAGES
    _create(out, shape)
    _create(facts_beside(out), shape[:1], FACTS)
    bad = source.write(table, out=out, rules=rules, workers=cfg.decode_workers, progress=progress)
    reasons = [f"{_name(source, table, row)!r} {bad[row]}" for row in sorted(bad)]
    _judge(reasons, len(table), cfg, source.naming.origin)
    if bad:
        good = [row for row in range(len(table)) if row not in bad]
        strata = before.targets.strata
        if strata is not None and (lost := sorted(set(strata.numbers) - set(strata.numbers[good]))):
            names = ", ".join(repr(strata.names[number]) for number in lost)
            found = f"{source.naming.origin}: no usable image is left of {names}"
            raise ImageDecodeError(f"{found}:\n{bullet_list(reasons)}")
        _keep_rows(out, good)
        _keep_rows(facts_beside(out), good)
        table = table.take(good)
    (folder / _TABLE).write_text(
        json.dumps({"columns": table.columns, "notes": table.notes, "bad": reasons}), encoding="utf-8"
    )
    write_seal(folder)


def _name(source: Source, table: Table, row: int) -> str:
    return table.columns[source.naming.columns.filename][row]


def _judge(bad: Sequence[str], total: int, cfg: ImageDataConfig, origin: str) -> None:
    if not bad:
        return
    found = f"{len(bad)} of {total} images of {origin} cannot be used"
    if cfg.on_bad_image == "error":
        hint = "repair these files, or drop their rows with data.on_bad_image=skip"
        raise ImageDecodeError(f"{found}:\n{bullet_list(in_one(bad))}\n{hint}")
    if len(bad) > cfg.max_bad_share * total:
        raise ImageDecodeError(
            f"{found}, more than data.max_bad_share={cfg.max_bad_share}:\n{bullet_list(in_one(bad))}"
        )


def _create(path: Path, shape: Sequence[int], dtype: npt.DTypeLike = np.uint8) -> np.memmap[Any, np.dtype[Any]]:
    created = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=tuple(shape))
    if hasattr(os, "posix_fallocate"):  # a full disk says so now: later a page without a block ends the process
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if is_of_disk(error):  # not: this file system cannot
                    raise disk_error(error, path=path) from None
    return created


def _keep_rows(path: Path, rows: list[int]) -> None:
    array = np.load(path, mmap_mode="r")
    kept = path.with_name("kept.npy")
    target = _create(kept, (len(rows), *array.shape[1:]), array.dtype)
    for start in range(0, len(rows), 1024):
        target[start : start + 1024] = array[rows[start : start + 1024]]
    target.flush()
    del array, target  # Windows replaces no file that is mapped
    kept.replace(path)


def _read(folder: Path, key: str, rules: PixelRules) -> Entry:
    check_seal(folder)
    stored: dict[str, Any] = json.loads((folder / _TABLE).read_text(encoding="utf-8"))
    images: npt.NDArray[np.uint8] = np.lib.format.open_memmap(folder / _IMAGES, mode="r")
    facts = np.load(facts_beside(folder / _IMAGES), allow_pickle=False)
    table = Table(stored["columns"], notes=tuple(stored["notes"]))
    expected = (len(table), rules.channels, rules.size, rules.size)
    if (
        images.shape != expected
        or images.dtype != np.uint8
        or facts.shape != expected[:1]
        or facts.dtype != FACTS
    ):
        raise ValueError(f"{images.dtype} {images.shape}, {facts.dtype} {facts.shape} of {len(table)} rows")
    return Entry(key, images, facts, table, stored["bad"])
