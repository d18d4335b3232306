"""`load_images`: a configured source becomes `ImageData`, decoded once and memory-mapped from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.config.data import ImageDataConfig
from shared.data.dataset import SIDES, Dataset, Ints
from shared.data.images.duplicates import (
    Duplicates,
    alike,
    check_labels,
    count_duplicates,
    duplicate_notes,
    identical,
    join,
    sets_of,
    together,
)
from shared.data.images.entry import Entry, annotate_rows, read_entry
from shared.data.images.patients import contradictions, dicom_patients
from shared.data.images.ranges import (
    ValueRange,
    choose,
    describe_ranges,
    needs_scaling,
    range_notes,
    unused_levels,
    value_ranges,
)
from shared.data.images.shapes import colour_notes, shape_notes, size_notes
from shared.data.pixels.levels import rules_of
from shared.data.sources.columns import no_patients
from shared.data.sources.open import LAYOUTS, Source, open_source
from shared.data.sources.patient_names import patients_in_names
from shared.data.sources.table import Table
from shared.data.sources.targets import TargetReader
from shared.data.split.split import absent_strata, make_splits
from shared.data.summary import describe_split
from shared.runtime.counts import count_of
from shared.runtime.errors import DataError, bullet_list

BY_HEADERS = "patients are known by DICOM headers"

_UNKNOWN_PATIENTS = "not known to this source: images of one patient may lie on two sides"


@dataclass(frozen=True, kw_only=True)
class ImageData(Dataset):
    """Images and what is to be predicted of them; row ``i`` of every array is the same image.

    Its groups are the patients. The column that ``data.columns.site`` names is among
    ``columns`` as ``site`` too.

    Attributes
    ----------
    images : ndarray [N, C, H, W], uint8
        Memory-mapped, read-only.
    ranges : tuple of ValueRange
        The values that the files hold, and which of them are black and white.
    duplicates : Duplicates or None
        Images that occur more than once; None where that was not looked for.
    """

    images: npt.NDArray[np.uint8]
    ranges: tuple[ValueRange, ...] = ()
    duplicates: Duplicates | None = None


def load_images(
    cfg: ImageDataConfig,
    *,
    cache_dir: Path,
    read_targets: TargetReader,
    progress: bool = False,
    sides: Sequence[str] = SIDES,
    decode: bool = True,
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
    decode : bool
        Whether images that are not in the cache are decoded; else they are an error.

    Raises
    ------
    DataError
        Its subclasses name the file, the rows or the settings that are wrong, all of them.
    """
    cache_dir = cache_dir.absolute()
    source = open_source(cfg, cache_dir=cache_dir, progress=progress)
    rules = rules_of(cfg)
    how: Any = {
        "cache_dir": cache_dir,
        "read_targets": read_targets,
        "progress": progress,
        "decode": decode,
    }
    entry = read_entry(cfg, source, rules=rules, **how)
    numbers = None if cfg.duplicates == "ignore" else identical(entry.facts)
    if numbers is not None and cfg.near_duplicates is not None:
        numbers = join(numbers, alike(entry.images, cfg.near_duplicates))
    rows = _describe(cfg, source, entry, read_targets=read_targets, sides=sides, numbers=numbers)
    train = rows["splits"] == "train"
    chosen = choose(entry.facts, train)
    if needs_scaling(entry.facts, chosen):
        entry = read_entry(cfg, source, rules=replace(rules, chosen=chosen), **how)
    unused = unused_levels(entry.facts, rules.levels)
    if unused and tuple(sides) == SIDES:  # at a site, the files of others may need them
        raise DataError(f"{source.naming.origin}: {unused[0]}; leave the setting out")
    ranges = value_ranges(entry.facts)
    notes = [
        *rows["notes"],
        *range_notes(entry.facts, entry.images, train, transparent=cfg.transparent),
        *colour_notes(entry.facts, cfg),
        *shape_notes(entry.facts, cfg),
        *size_notes(entry.facts, rows["strata"]),
        *unused,
    ]
    facts, duplicates = {"values": describe_ranges(ranges)}, None
    if numbers is not None:
        duplicates = count_duplicates(numbers, rows["splits"])
        facts["identical"] = str(duplicates)
        notes += _tell_duplicates(cfg, source, entry, rows, numbers)
    if entry.bad:
        notes.append(
            f"{count_of(len(entry.bad), 'row')} skipped: the image cannot be read (data.on_bad_image=skip)"
        )
    changed: dict[str, Any] = {
        "schema": replace(rows["schema"], levels=tuple(chosen.items())),
        "facts": {**rows["facts"], **facts},
        "notes": tuple(notes),
    }
    return ImageData(
        **rows | changed,
        fingerprint=entry.key,
        skipped=len(entry.bad),
        images=entry.images,
        ranges=ranges,
        duplicates=duplicates,
    )


def read_rows(
    cfg: ImageDataConfig, *, cache_dir: Path, read_targets: TargetReader, sides: Sequence[str] = SIDES
) -> Dataset:
    """Read names, labels, patients and splits, and open no image; otherwise as `load_images`."""
    source = open_source(cfg, cache_dir=cache_dir)
    return Dataset(**_describe(cfg, source, source.table(), read_targets=read_targets, sides=sides))


def _describe(
    cfg: ImageDataConfig,
    source: Source,
    read: Entry | Table,
    *,
    read_targets: TargetReader,
    sides: Sequence[str],
    numbers: Ints | None = None,
) -> dict[str, Any]:
    # What a `Dataset` holds of the rows; those with the same of `numbers` are drawn to the same side.
    table = read.table if isinstance(read, Entry) else read
    found = annotate_rows(cfg, source, table, read_targets)
    groups, known = found.groups, list(found.notes)
    if groups is None and isinstance(read, Entry) and cfg.columns.patient_id is not None:
        groups, said = dicom_patients(read.facts, source.naming.origin)
        # No such column is of no consequence then.
        known = [note.replace(no_patients("image"), BY_HEADERS) for note in known] + said if groups else known
    elif groups is not None and isinstance(read, Entry):
        known += contradictions(read.facts, groups)
    splits = make_splits(
        len(table),
        strata=found.targets.strata,
        groups=groups,
        together=None if numbers is None else together(groups, numbers),
        time=found.time,
        given=found.given,
        **cfg.split_rule,
        sides=sides,
    )
    drawn = [] if found.given is None else sorted({*splits.tolist()} - {*found.given.tolist()})
    given = found.given is not None
    # Names of columns that are missing, and an empty one, are told where there are columns.
    unknown = groups is None and cfg.source in ("classes", "npz", "idx", "medmnist") and (drawn or not given)
    names = table.columns.get(source.naming.columns.filename, [])
    people = patients_in_names(names, splits.tolist()) if groups is None and names else []
    split = describe_split(given=given, drawn=drawn, by=cfg.split_by, seed=cfg.split_seed)
    return {
        "schema": found.targets.schema,
        "targets": found.targets.values,
        "splits": splits,
        "strata": found.targets.strata,
        "groups": groups,
        "time": found.time,
        "columns": found.others,
        "origin": source.naming.origin,
        "layout": f"data={cfg.source}, {LAYOUTS[cfg.source]}; {split}",
        "facts": {"patients": _UNKNOWN_PATIENTS} if unknown else {},
        "notes": (
            *known,
            *people,
            *(f"no {side} rows are given: they are drawn from the training rows" for side in drawn),
            *absent_strata(splits, found.targets.strata),
        ),
    }


def _tell_duplicates(
    cfg: ImageDataConfig, source: Source, entry: Entry, rows: Mapping[str, Any], numbers: Ints
) -> list[str]:
    # Notes on identical images, and on those with the same of `numbers`, which may be more.
    same, splits, groups = identical(entry.facts), rows["splits"], rows["groups"]
    names = entry.table.columns.get(source.naming.columns.filename) or [
        f"row {row}" for row in range(len(same))
    ]
    conflicts = check_labels(same, rows["targets"], names, rows["schema"].classes)
    if conflicts and rows["schema"].classes and cfg.duplicates == "error":
        raise DataError(
            f"{source.naming.origin}: identical images have different labels:\n"
            f"{bullet_list(conflicts, limit=10)}\n"
            "correct or remove them, or keep them with data.duplicates=warn"
        )
    notes = duplicate_notes(same, splits, groups, what="identical to")
    if conflicts:
        notes.append(
            f"identical with different labels: {count_of(len(conflicts), 'image')}, such as {conflicts[0]}"
        )
    if cfg.near_duplicates is not None:
        notes += duplicate_notes(numbers, splits, groups, what="identical or nearly identical to")
        largest = max(map(len, sets_of(numbers)), default=0)
        found = f"the largest set of images that are alike has {largest}" if largest else "no images are alike"
        notes.append(f"{found} (data.near_duplicates={cfg.near_duplicates})")
    return notes
