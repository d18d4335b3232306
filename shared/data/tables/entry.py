"""`read_through_cache`: a table as `load_table` reads it, kept for the processes that need it next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.config.table_data import TableDataConfig
from shared.data.cache import TABLES, drop_entry, open_entry, remember_digest
from shared.data.dataset import Groups, Strata, Timeline
from shared.data.schema import Schema
from shared.data.seal import DAMAGE, check_seal, write_seal
from shared.data.tables.files import tables_in
from shared.data.tables.load import TableData
from shared.data.tables.sites import Sites
from shared.runtime.errors import DataError
from shared.runtime.files import disk_error, is_of_disk

_FORMAT = 1  # of an entry; counts up when the same file would give other rows
_WORTH = 2**20  # bytes; a smaller file is read as fast as an entry
_INPUTS, _ROWS, _TABLE = "inputs.npy", "rows.npz", "table.json"
_NO_PART = ("batch_size", "eval_batch_size", "name")  # settings that change no row
_TOLD = ("fingerprint", "skipped", "origin", "layout", "facts", "min_count", "agreed")


def read_through_cache(
    cfg: TableDataConfig, *, cache: Path, load: Callable[[], TableData], read_as: Mapping[str, Any]
) -> TableData:
    """The rows of a table, from the cache where it holds them, with their inputs mapped into memory.

    Parameters
    ----------
    load : callable
        Reads the file.
    read_as : mapping
        What the rows depend on beside the file and its settings, in JSON's types: task, sides, model.

    Raises
    ------
    DataError
        The file cannot be read, or changed while it was.
    """
    assert cfg.path is not None
    path = Path(cfg.path).expanduser().absolute()
    files = tables_in(path) if path.is_dir() else [path]
    if not all(file.is_file() for file in files) or sum(file.stat().st_size for file in files) < _WORTH:
        return load()  # which says what is wrong
    stamp = _stamp(path)
    digest = remember_digest(cache, path=path, stamp=stamp, compute=lambda: _digest(path))
    settings = {key: value for key, value in cfg.model_dump(mode="json").items() if key not in _NO_PART}
    parts = [_FORMAT, digest, settings, dict(read_as)]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def build(folder: Path) -> None:
        data = load()
        if _stamp(path) != stamp:
            raise DataError(f"{cfg.path} changed while it was read; run again")
        try:
            _write(folder, data)
        except OSError as error:
            if is_of_disk(error):
                raise disk_error(error, path=folder) from None
            raise

    folder = open_entry(cache, key=key, build=build, kind=TABLES, source=path)
    try:
        return _read(folder)
    except DAMAGE:
        drop_entry(cache, key=key)  # damaged from outside; the file has all that is needed
        return _read(open_entry(cache, key=key, build=build, kind=TABLES, source=path))


def _stamp(path: Path) -> str:
    if path.is_dir():
        named = [f"{file.relative_to(path)} {_stamp(file)}" for file in tables_in(path)]
        return hashlib.sha256("\n".join(named).encode()).hexdigest()
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def _digest(path: Path) -> str:
    if path.is_dir():
        named = [f"{file.relative_to(path)} {_digest(file)}" for file in tables_in(path)]
        return hashlib.sha256("\n".join(named).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(folder: Path, data: TableData) -> None:
    np.save(folder / _INPUTS, data.inputs)
    parts = {"strata": data.strata, "groups": data.groups, "sites": data.sites}
    rows = {"targets": data.targets, "splits": data.splits}
    rows |= {name: part.numbers for name, part in parts.items() if part is not None}
    if data.time is not None:
        rows |= {"times": data.time.times, "series": data.time.series}
    rows |= {f"column/{number}": values for number, values in enumerate(data.columns.values())}
    np.savez(folder / _ROWS, **rows)  # type: ignore[arg-type]
    told: dict[str, Any] = {name: getattr(data, name) for name in _TOLD}
    told |= {"schema": data.schema.to_json(), "notes": data.notes, "columns": [*data.columns]}
    told |= {
        "strata": data.strata and [data.strata.names, data.strata.noun, data.strata.on_every_side],
        "groups": data.groups and [data.groups.names, data.groups.noun],
        "sites": data.sites and [data.sites.column, data.sites.names],
        "time": data.time and list(data.time.names),
    }
    (folder / _TABLE).write_text(json.dumps(told), encoding="utf-8")
    write_seal(folder)


def _read(folder: Path) -> TableData:
    check_seal(folder)
    told: dict[str, Any] = json.loads((folder / _TABLE).read_text(encoding="utf-8"))
    inputs = np.load(folder / _INPUTS, mmap_mode="r", allow_pickle=False)
    with np.load(folder / _ROWS, allow_pickle=False) as file:
        rows = {name: file[name] for name in file.files}
    strata, groups, sites = told["strata"], told["groups"], told["sites"]
    return TableData(
        schema=Schema.from_json(told["schema"]),
        targets=rows["targets"],
        splits=rows["splits"],
        strata=strata and Strata(rows["strata"], tuple(strata[0]), noun=strata[1], on_every_side=strata[2]),
        groups=groups and Groups(rows["groups"], tuple(groups[0]), noun=groups[1]),
        sites=sites and Sites(sites[0], tuple(sites[1]), rows["sites"]),
        time=None if told["time"] is None else Timeline(rows["times"], rows["series"], tuple(told["time"])),
        columns={name: rows[f"column/{number}"] for number, name in enumerate(told["columns"])},
        notes=tuple(told["notes"]),
        inputs=inputs,
        **{name: told[name] for name in _TOLD},
    )
