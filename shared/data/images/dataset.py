"""`load_images`: a configured source becomes `ImageData`, decoded once and memory-mapped from then on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.config.data import ImageDataConfig
from shared.data.cache import drop_entry, open_entry, remember_digest
from shared.data.dataset import SIDES, Dataset
from shared.data.notes import say_once
from shared.data.pixels.files import Content
from shared.data.progress import progress_bar
from shared.data.sources.open import Source, open_source
from shared.data.sources.table import Table, annotate
from shared.data.sources.targets import TargetReader
from shared.data.split.split import absent_strata, make_splits
from shared.runtime.errors import DataError, ImageDecodeError, bullet_list

_FORMAT = 2  # of a cache entry; counts up when the same files would give other pixels or rows
_IMAGES, _TABLE = "images.npy", "table.json"


@dataclass(frozen=True, kw_only=True)
class ImageData(Dataset):
    """Images and what is to be predicted of them; row ``i`` of every array is the same image.

    Its groups are the patients. The column that ``data.columns.site`` names is among
    ``columns`` as ``site`` too.

    Attributes
    ----------
    images : ndarray [N, C, H, W], uint8
        Memory-mapped, read-only.
    notes : tuple of str
        What was ignored or understood in a way that people should know; said on stderr.
    """

    images: npt.NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def load_images(
    cfg: ImageDataConfig,
    *,
    cache_dir: Path,
    read_targets: TargetReader,
    progress: bool = False,
    sides: Sequence[str] = SIDES,
) -> ImageData:
    """Load images, decoding them if that was not done before.

    Any number of processes may call this at the same time; one of them decodes.

    Parameters
    ----------
    cache_dir : Path
        The only place that is written to.
    read_targets : TargetReader
        Of the task.
    progress : bool
        Draw a bar on stderr while decoding.
    sides : sequence of str
        What the rows are for, see `shared.data.split.split.make_splits`.

    Raises
    ------
    DataError
        Its subclasses name the file, the rows or the settings that are wrong, all of them.
    """
    cache_dir = cache_dir.absolute()
    source = open_source(cfg, cache_dir=cache_dir, progress=progress)
    stamp = source.content.stamp()
    key = _key(cfg, type(source).__name__, _digest(source.content, stamp, cache_dir, progress=progress))

    def build(folder: Path) -> None:
        _build(cfg, source, folder, read_targets=read_targets, progress=progress)
        if source.content.stamp() != stamp:
            raise DataError(f"{source.naming.origin} changed while it was read; run again")

    entry = open_entry(cache_dir, key=key, build=build)
    try:
        images, table, bad = _read_entry(entry)
    except (OSError, ValueError, KeyError, TypeError):
        drop_entry(cache_dir, key=key)  # damaged from outside; the source has all that is needed
        images, table, bad = _read_entry(open_entry(cache_dir, key=key, build=build))
    _judge(bad, len(table) + len(bad), cfg, source.naming.origin)
    notes = annotate(table, naming=source.naming, classes=cfg.classes, read_targets=read_targets)
    splits = make_splits(
        len(table),
        strata=notes.targets.strata,
        groups=notes.groups,
        time=notes.time,
        given=notes.given,
        val_fraction=cfg.val_fraction,
        test_fraction=cfg.test_fraction,
        seed=cfg.split_seed,
        by=cfg.split_by,
        sides=sides,
    )
    drawn = [] if notes.given is None else sorted({*splits.tolist()} - {*notes.given.tolist()})
    said = [
        *notes.notes,
        *(f"no {side} rows are given: they are drawn from the training rows" for side in drawn),
        *absent_strata(splits, notes.targets.strata),
    ]
    if bad:
        said.append(f"{len(bad)} rows are skipped, their images cannot be read (data.on_bad_image=skip)")
    say_once(said, origin=source.naming.origin)
    return ImageData(
        schema=notes.targets.schema,
        splits=splits,
        strata=notes.targets.strata,
        groups=notes.groups,
        time=notes.time,
        columns=notes.others,
        fingerprint=key,
        skipped=len(bad),
        images=images,
        notes=tuple(said),
        targets=notes.targets.values,
    )


def _digest(content: Content, stamp: str, cache_dir: Path, *, progress: bool) -> str:
    root = content.root
    if root is None:
        return content.digest()

    def compute() -> str:
        with progress_bar(f"reading {root}", total=None, show=progress):
            return content.digest()

    return remember_digest(cache_dir, path=root, stamp=stamp, compute=compute)


def _key(cfg: ImageDataConfig, kind: str, digest: str) -> str:
    parts = [_FORMAT, kind, digest, cfg.image_size, cfg.channels, cfg.columns.filename]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _build(
    cfg: ImageDataConfig, source: Source, folder: Path, *, read_targets: TargetReader, progress: bool
) -> None:
    table = source.table()
    before = annotate(
        table, naming=source.naming, classes=cfg.classes, read_targets=read_targets
    )  # fails before hours of decoding
    shape = (len(table), cfg.channels, cfg.image_size, cfg.image_size)
    needed, free = int(np.prod(shape)), shutil.disk_usage(folder).free
    if needed > free:  # else the mapped file ends the process with a bus error
        raise DataError(f"{folder} has {free / 1e9:.1f} GB free, the decoded images need {needed / 1e9:.1f} GB")
    out = folder / _IMAGES
    _create(out, shape)
    bad = source.write(table, out=out, workers=cfg.decode_workers, progress=progress)
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
        table = table.take(good)
    (folder / _TABLE).write_text(
        json.dumps({"columns": table.columns, "notes": table.notes, "bad": reasons}), encoding="utf-8"
    )


def _name(source: Source, table: Table, row: int) -> str:
    return table.columns[source.naming.columns.filename][row]


def _judge(bad: Sequence[str], total: int, cfg: ImageDataConfig, origin: str) -> None:
    if not bad:
        return
    found = f"{len(bad)} of {total} images of {origin} cannot be used"
    if cfg.on_bad_image == "error":
        hint = "repair these files, or drop their rows with data.on_bad_image=skip"
        raise ImageDecodeError(f"{found}:\n{bullet_list(bad)}\n{hint}")
    if len(bad) > cfg.max_bad_share * total:
        raise ImageDecodeError(
            f"{found}, more than data.max_bad_share={cfg.max_bad_share}:\n{bullet_list(bad)}"
        )


def _create(path: Path, shape: Sequence[int]) -> np.memmap[Any, np.dtype[np.uint8]]:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=tuple(shape))


def _keep_rows(path: Path, rows: list[int]) -> None:
    images = np.load(path, mmap_mode="r")
    kept = path.with_name("kept.npy")
    target = _create(kept, (len(rows), *images.shape[1:]))
    for start in range(0, len(rows), 1024):
        target[start : start + 1024] = images[rows[start : start + 1024]]
    target.flush()
    del images, target  # Windows replaces no file that is mapped
    kept.replace(path)


def _read_entry(entry: Path) -> tuple[npt.NDArray[np.uint8], Table, list[str]]:
    stored: dict[str, Any] = json.loads((entry / _TABLE).read_text(encoding="utf-8"))
    images: npt.NDArray[np.uint8] = np.lib.format.open_memmap(entry / _IMAGES, mode="r")
    table = Table(stored["columns"], notes=tuple(stored["notes"]))
    if len(images) != len(table):
        raise ValueError(f"{len(images)} images, {len(table)} rows")
    return images, table, stored["bad"]
