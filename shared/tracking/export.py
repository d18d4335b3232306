"""Writes a run to files for other software: its results as JSON, its history as CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from shared.runtime.errors import ConfigError, TrackingError
from shared.tracking.rows import MetricRow
from shared.tracking.run_results import run_results
from shared.tracking.store import Store

COLUMNS = tuple(field.name for field in fields(MetricRow))


def export_run(
    store: Store, run_id: int, *, format: Literal["csv", "json", "parquet"], path: Path | None
) -> Path | str:
    """Write one run.

    Parameters
    ----------
    format : {"csv", "json", "parquet"}
        JSON holds all results (see `shared.tracking.run_results`), the others one row a point: undefined values
        are ``nan`` in CSV and NaN in Parquet.
    path : Path, optional
        Replaced at once or not at all; its folder is made. Without it the text is returned.

    Raises
    ------
    ConfigError
        The format is unknown, or Parquet without a path.
    TrackingError
        There is no such run, or the file cannot be written.
    """
    if format not in ("csv", "json", "parquet"):
        raise ConfigError(f"format must be csv, json or parquet, got {format!r}")
    if format == "parquet" and path is None:
        raise ConfigError("parquet is not text: give the file to write it to")
    store.runs.get(run_id)
    if format == "json":
        content = _json(run_results(store, run_id)).encode()
    elif format == "csv":
        content = _csv(store.metrics.of_run(run_id)).encode()
    else:
        content = _parquet(store.metrics.of_run(run_id))
    return content.decode() if path is None else _write(path, content)


def write_results(store: Store, run_id: int, results_dir: Path) -> tuple[Path, Path]:
    """Write ``metrics_ID.json`` and ``metrics_ID.csv``.

    Returns
    -------
    tuple of Path
        The JSON file and the CSV file.

    Raises
    ------
    TrackingError
        There is no such run, or a file cannot be written.
    """
    as_json = export_run(store, run_id, format="json", path=results_dir / f"metrics_{run_id}.json")
    as_csv = export_run(store, run_id, format="csv", path=results_dir / f"metrics_{run_id}.csv")
    return Path(as_json), Path(as_csv)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def _csv(rows: Sequence[MetricRow]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = {**row.as_dict(), "value": repr(row.value)}
        writer.writerow([values[name] for name in COLUMNS])
    return text.getvalue()


def _parquet(rows: Sequence[MetricRow]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole, text = pa.int64(), pa.string()
    kinds = {"stage": text, "name": text, "value": pa.float64(), "time": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, kinds.get(name, whole)) for name in COLUMNS])
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=schema), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _write(path: Path, content: bytes) -> Path:
    unfinished: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).chmod(0o644)  # mkstemp's files are private, unlike those of open()
        Path(unfinished).replace(path)
    except OSError as error:
        if unfinished is not None:
            Path(unfinished).unlink(missing_ok=True)
        raise TrackingError(f"cannot write {path}: {error.strerror}; choose another place") from None
    return path
