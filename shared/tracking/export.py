"""Writes a run to files for other software: its results as JSON, its history or gap table as CSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from shared.metrics.catalogue import naming
from shared.metrics.gap import stored_gap
from shared.metrics.gap_record import gap_columns
from shared.runtime.errors import ConfigError, TrackingError
from shared.runtime.files import replacing
from shared.runtime.home import is_shared
from shared.tracking.export_parts import csv_parts, json_parts, parquet_parts
from shared.tracking.rows import RunRow
from shared.tracking.run_results import run_results
from shared.tracking.store import Store
from shared.tracking.twins import positive_class


def export_run(
    store: Store, run_id: int, *, format: Literal["csv", "json", "parquet"], path: Path | None
) -> Path | str:
    """Write one run.

    Parameters
    ----------
    format : {"csv", "json", "parquet"}
        JSON holds all results (see `shared.tracking.run_results`), the others one row a point, of a comparison
        one row a metric (`shared.metrics.gap_record.gap_columns`), of a sweep one row a trial: undefined values
        are ``nan`` in CSV and NaN in Parquet.
    path : Path, optional
        Replaced at once or not at all; its folder is made. Without it the text is returned.

    Raises
    ------
    ConfigError
        The format is unknown, or Parquet without a path.
    TrackingError
        There is no such run, or the gap of a comparison is not measured (yet).
    DiskError
        The file cannot be written.
    """
    if format not in ("csv", "json", "parquet"):
        raise ConfigError(f"format must be csv, json or parquet, got {format!r}")
    if format == "parquet" and path is None:
        raise ConfigError("Parquet is binary: name the file to write to")
    parts = export_parts(store, run_id, format=format)
    return b"".join(parts).decode() if path is None else _write(path, parts)


def export_parts(store: Store, run_id: int, *, format: Literal["csv", "json", "parquet"]) -> Iterator[bytes]:
    """The content of a file that `export_run` writes, some rows at a time, however many there are.

    Raises
    ------
    TrackingError
        There is no such run, or the gap of a comparison is not measured (yet); while it is read, the database
        cannot be used, or the run was deleted.
    """
    run = store.runs.get(run_id)
    if format == "json":
        return json_parts(run_results(store, run_id), store.metrics.pages(run_id))
    if run.training_mode == "compare":
        return iter([_gap_table(run, format=format)])
    if run.training_mode == "sweep":
        return iter([_trials_table(store, run, format=format)])
    names: dict[int | None, str] = {client.client_id: client.name for client in store.clients.of_run(run_id)}
    parts = csv_parts if format == "csv" else parquet_parts
    return parts(store.metrics.pages(run_id), names=names)


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


def _gap_table(run: RunRow, *, format: str) -> bytes:
    rows = stored_gap(run.summary)
    if not rows:
        raise TrackingError(
            f"run {run.id} is a comparison without a gap ({run.status}); export its runs, which "
            f"fedtwin show {run.id} names, or all that is known with --format json"
        )
    with naming(positive_class([run])):
        columns = gap_columns(rows)
    if format == "csv":
        return _csv_bytes(columns)
    import pyarrow as pa

    texts, whole = ("metric", "label", "better", "verdict", "group"), ("groups", "seeds")
    kinds = {**dict.fromkeys(texts, pa.string()), **dict.fromkeys(whole, pa.int64())}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in columns])
    return _parquet_bytes(pa.table(columns, schema=schema))


def _trials_table(store: Store, run: RunRow, *, format: str) -> bytes:
    trials = [trial.as_dict() for trial in store.trials.of_sweep(run.id)]
    for trial in trials:
        del trial["sweep_id"], trial["digest"]
        trial["settings"] = " ".join(trial["settings"])
        trial["search"] = None if trial["search"] is None else json.dumps(trial["search"])
    columns = {name: [trial[name] for trial in trials] for name in trials[0]}
    if format == "csv":
        return _csv_bytes(columns)
    import pyarrow as pa

    kinds = dict.fromkeys(("settings", "status", "error", "search"), pa.string())
    schema = pa.schema([(name, kinds.get(name, pa.int64())) for name in columns])
    return _parquet_bytes(pa.table(columns, schema=schema))


def _csv_bytes(columns: Mapping[str, Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _parquet_bytes(table: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _write(path: Path, parts: Iterable[bytes]) -> Path:
    with replacing(path, mode=0o666 if is_shared() else 0o600) as file:
        file.writelines(parts)
    return path
