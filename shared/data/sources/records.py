"""`read_records`: the rows of a CSV with their lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from shared.data.pixels.limits import TableLimits, over
from shared.data.sources.table import metadata_error


def read_records(
    content: bytes, origin: str, *, limits: TableLimits, errors: str = "strict", delimiter: str = ","
) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV that are not empty, with the number of the line where each ends.

    Parameters
    ----------
    content : bytes
        UTF-8; decoded as it is read, for as text it may take four times the memory.
    limits : TableLimits
    errors : {"strict", "replace"}
        What is done where it is no UTF-8.

    Raises
    ------
    MetadataError
        It is no CSV, or beyond a limit.
    UnicodeDecodeError
        Of ``strict``.
    """
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", errors=errors, newline="")
    reader = csv.reader(text, strict=True, delimiter=delimiter)
    rows = -1  # without the header
    try:
        for record in reader:
            if not any(record):
                continue
            rows += 1
            if rows == 0 and len(record) > limits.max_columns:
                found = f"its header has {len(record)} columns"
                raise metadata_error(origin, [over(found, "max_columns", limits.max_columns)])
            if rows > limits.max_rows:
                found = f"it has more than {limits.max_rows} rows"
                raise metadata_error(origin, [over(found, "max_rows", limits.max_rows)])
            yield reader.line_num, record
    except csv.Error as error:
        raise metadata_error(origin, [f"line {reader.line_num} is not CSV: {error}"]) from None


def line_without_utf8(content: bytes) -> int:
    """The number of the first line that is not UTF-8; 1 for a mark of another encoding at the start."""
    for number, line in enumerate(io.BytesIO(content), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return number
    return 1
