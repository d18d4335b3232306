"""``python -m fedtwin.dataset_check``: reads an uploaded dataset whole, and tells what is in it.

The service starts it for one dataset: a line of JSON on standard input is the request, a line on standard
output the answer. What it may take is limited by the system, and its end of input ends it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.runtime.errors import (
    ArchiveError,
    DataError,
    DiskError,
    FedtwinError,
    ImageDecodeError,
    MetadataError,
)
from shared.runtime.home import keep_private

if TYPE_CHECKING:
    from shared.config.config import Config
    from shared.data.tables.cells import Cells

SHOWN_ROWS, SHOWN_COLUMNS, SHOWN_TEXT = 20, 50, 200  # of a preview
IMAGE_TASKS = ("image_classification", "image_multilabel", "image_regression")
_OF_TABLES = ("data.max_rows=", "data.max_columns=")
_KINDS = (ArchiveError, MetadataError, ImageDecodeError, DataError, DiskError, FedtwinError)


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Read a dataset.

    Parameters
    ----------
    request : dict
        ``path``, ``format``, and ``limits``, settings of ``data`` by name.

    Returns
    -------
    dict
        ``kind`` (``images`` or ``table``), ``labelled`` (how many images or rows can be trained on),
        ``layout``, ``summary`` (lines of text), ``preview``; of a table also ``columns``.

    Raises
    ------
    FedtwinError
    """
    path = Path(request["path"])
    limits = [f"data.{name}={value}" for name, value in request["limits"].items()]
    if request["format"] in ("csv", "parquet"):
        return _of_table(path, [one for one in limits if one.startswith(_OF_TABLES)])
    return _of_images(path, limits)


def _of_images(path: Path, limits: list[str]) -> dict[str, Any]:
    from fedtwin.reading import data
    from fedtwin.training import configure
    from shared.data.sources.open import open_source

    # What is decoded here is small and soon removed: a training decodes for its own size.
    settings = [f"data.path={path}", "data.image_size=32", "data.decode_workers=1", *limits]
    with tempfile.TemporaryDirectory(prefix="check-", dir=path.parent) as folder:
        first: DataError | None = None
        for task in IMAGE_TASKS:  # labels may be several, or numbers
            cfg = configure([f"task={task}", *settings])
            try:
                summary = data(settings=cfg, store=folder)
            except (ArchiveError, ImageDecodeError):
                raise
            except DataError as error:
                first = first or error
                continue
            source = open_source(cfg.data, cache_dir=Path(folder))  # type: ignore[arg-type]  # of an image task
            columns = source.table().columns
            return {
                "kind": "images",
                "labelled": sum(summary.rows.values()),
                "layout": f"{summary.layout}; task={task}",
                "summary": summary.lines(),
                "preview": {
                    "columns": [_text(name) for name in [*columns][:SHOWN_COLUMNS]],
                    "rows": [list(row) for row in zip(*_shown(columns), strict=True)],
                },
            }
        assert first is not None
        raise first


def _of_table(path: Path, limits: list[str]) -> dict[str, Any]:
    from fedtwin.training import configure
    from shared.data.tables.reading import read_table

    cfg: Config = configure(["task=clustering", f"data.path={path}", "data.columns.patient_id=null", *limits])
    read = read_table(cfg.data, keep=())  # type: ignore[arg-type]  # of a task on tables
    columns = [_described(name, cells) for name, cells in read.cells.items()]
    shown = dict([*read.cells.items()][:SHOWN_COLUMNS])
    values = [[_cell(cells, row) for row in range(min(SHOWN_ROWS, len(read.rows)))] for cells in shown.values()]
    lines = [f"rows        {len(read.rows):,}", f"columns     {len(columns):,}"]
    return {
        "kind": "table",
        "labelled": len(read.rows),
        "layout": f"data=table, a table with {len(columns):,} columns",
        "summary": [*lines, *(f"note        {note}" for note in read.file.notes)],
        "columns": columns,
        "preview": {
            "columns": [_text(name) for name in shown],
            "rows": [list(row) for row in zip(*values, strict=True)],
        },
    }


def _described(name: str, cells: Cells) -> dict[str, Any]:
    import numpy as np

    numbers, codes = cells.numbers, cells.codes
    there = numbers[np.isfinite(numbers)]
    return {
        "name": name,
        "kind": "text" if cells.levels else "number" if len(there) else "empty",
        "missing": int(np.count_nonzero(np.isnan(numbers) & (codes < 0))),
        "different_texts": len(cells.levels),
        "smallest": float(there.min()) if len(there) else None,
        "largest": float(there.max()) if len(there) else None,
    }


def _cell(cells: Cells, row: int) -> str | float | None:
    import numpy as np

    if cells.codes[row] >= 0:
        return _text([*cells.levels][cells.codes[row]])
    number = float(cells.numbers[row])
    return number if np.isfinite(number) else None


def _shown(columns: dict[str, list[str]]) -> list[list[str]]:
    return [[_text(one) for one in values[:SHOWN_ROWS]] for values in [*columns.values()][:SHOWN_COLUMNS]]


def _text(text: str) -> str:
    return text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]} ..."


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The result of a request, or its error, in which the dataset is called by its file's name."""
    folder = f"{Path(request['path']).parent}{os.sep}"
    try:
        found: dict[str, Any] = {"result": check(request)}
    except MemoryError:
        found = {
            "error": {"kind": "MemoryError", "detail": "reading it takes more memory than this server allows"}
        }
    except FedtwinError as error:
        kind = next(one.__name__ for one in _KINDS if isinstance(error, one))
        found = {"error": {"kind": kind, "detail": str(error)}}
    except Exception:
        traceback.print_exc()
        found = {"error": {"kind": "internal", "detail": "the check failed; see the server's log"}}
    told: dict[str, Any] = _without(found, folder)
    return told


def _without(value: Any, folder: str) -> Any:
    # Where the server keeps it is nobody's business.
    if isinstance(value, str):
        return value.replace(folder, "")
    if isinstance(value, list):
        return [_without(one, folder) for one in value]
    return {key: _without(one, folder) for key, one in value.items()} if isinstance(value, dict) else value


def main() -> None:
    """Answer one request."""
    keep_private()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    request = json.loads(sys.stdin.buffer.readline())
    most = request["most_bytes"]
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_service, daemon=True).start()
    out.write(json.dumps(answer(request), allow_nan=False).encode() + b"\n")
    out.flush()


def _end_with_service() -> None:
    while os.read(0, 1024):  # not of sys.stdin, which could not be closed meanwhile
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
