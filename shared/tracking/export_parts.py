"""The rows of a run as JSON, CSV and Parquet, page by page: a million take no more memory than some."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from shared.runtime.secrets import without_secrets
from shared.tracking.metrics import RawRow, iso_time
from shared.tracking.rows import MetricRow

COLUMNS = tuple(field.name for field in fields(MetricRow))
CLIENT = "client"  # a further column: what the client is called
ROW_GROUP = 50_000  # of Parquet
Pages = Iterable[Sequence[RawRow]]


def json_parts(results: Mapping[str, Any], pages: Pages) -> Iterator[bytes]:
    """An object of results, whose last member is ``history``: one row a line.

    Parameters
    ----------
    results : mapping
        From `shared.tracking.run_results.run_results`; passwords are left out.
    """
    head = json.dumps(without_secrets(dict(results)), indent=1, allow_nan=False)
    yield head.removesuffix("\n}").encode() + b',\n "history": ['
    separator, texts = "\n  ", _Texts()
    for page in pages:
        lines = []
        for number, run, client, round_, epoch, stage, name, value, examples, time in page:
            measured = "null" if value is None or not math.isfinite(value) else repr(value)
            lines.append(
                f'{{"id": {number}, "run_id": {run}, "client_id": {_null(client)}, "round": {_null(round_)}, '
                f'"epoch": {_null(epoch)}, "stage": {texts[stage]}, "name": {texts[name]}, '
                f'"value": {measured}, "num_examples": {_null(examples)}, "time": "{iso_time(time)}"}}'
            )
        yield (separator + ",\n  ".join(lines)).encode()
        separator = ",\n  "
    yield b"\n ]\n}\n" if separator.startswith(",") else b"]\n}\n"


class _Texts(dict[str, str]):
    """Texts as JSON writes them: a run has few stages and names, and many rows."""

    def __missing__(self, text: str) -> str:
        self[text] = json.dumps(text)
        return self[text]


def _null(number: int | None) -> int | str:
    return "null" if number is None else number


def csv_parts(pages: Pages, *, names: Mapping[int | None, str]) -> Iterator[bytes]:
    """One row a point, with the name of its client behind it; undefined values are ``nan``."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, CLIENT])
    yield text.getvalue().encode()
    for page in pages:
        text.seek(0)
        text.truncate()
        writer.writerows(
            (
                *row[:7],
                "nan" if row[7] is None else repr(row[7]),
                row[8],
                iso_time(row[9]),
                names.get(row[2], ""),
            )
            for row in page
        )
        yield text.getvalue().encode()


def parquet_parts(pages: Pages, *, names: Mapping[int | None, str]) -> Iterator[bytes]:
    """The same as Parquet, in groups of rows; undefined values are NaN."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole, text = pa.int64(), pa.string()
    kinds = {"stage": text, "name": text, "value": pa.float64(), "time": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([*((name, kinds.get(name, whole)) for name in COLUMNS), (CLIENT, text)])
    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema) as writer:
        # Columns take a tenth of the memory of a driver's rows: those are gone after each page.
        group: list[Any] = []
        for page in pages:
            group.append(_batch(page, names=names, schema=schema))
            if sum(map(len, group)) >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(group))
                group = []
                yield sink.taken()
        if group:
            writer.write_table(pa.Table.from_batches(group))
    yield sink.taken()


def _batch(rows: Sequence[RawRow], *, names: Mapping[int | None, str], schema: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    columns: dict[str, Sequence[Any]] = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    columns[CLIENT] = [names.get(client) for client in columns["client_id"]]
    arrays = []
    for field in schema:
        column = columns[field.name]
        if field.type == pa.string():
            arrays.append(_texts(column))
        elif field.name == "value":
            arrays.append(_numbers(field.type, np.array(column, dtype=np.float64)))  # None is NaN
        elif field.name == "time":
            arrays.append(_numbers(field.type, np.array(list(map(_utc, column)), dtype="datetime64[us]")))
        else:
            there = np.array([one is not None for one in column])
            whole = np.array([0 if one is None else one for one in column], dtype=np.int64)
            arrays.append(_numbers(field.type, whole, there=there))
    return pa.record_batch(arrays, schema=schema)


def _utc(time: str | datetime) -> str | datetime:
    return time if isinstance(time, str) else time.astimezone(UTC).replace(tzinfo=None)


# Of buffers: ``pa.array`` would import pandas, if it is installed, which takes 50 MB.
def _numbers(kind: Any, values: Any, *, there: Any = None) -> Any:
    import pyarrow as pa

    return pa.Array.from_buffers(kind, len(values), [_validity(there), pa.py_buffer(values.tobytes())])


def _texts(values: Sequence[str | None]) -> Any:
    import numpy as np
    import pyarrow as pa

    parts = [(value or "").encode() for value in values]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int32)
    there = np.array([value is not None for value in values])
    buffers = [_validity(there), pa.py_buffer(ends.tobytes()), pa.py_buffer(b"".join(parts))]
    return pa.Array.from_buffers(pa.string(), len(parts), buffers)


def _validity(there: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    if there is None or there.all():
        return None
    return pa.py_buffer(np.packbits(there, bitorder="little").tobytes())


class _Sink(io.RawIOBase):
    """A file that is taken away in parts while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, content: Any) -> int:
        """Keep a part."""
        self._parts.append(bytes(content))
        return len(content)

    def taken(self) -> bytes:
        """What was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
