"""`open_table`: the columns of a CSV or Parquet file, or of a folder of them, and their rows in blocks."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.config.table_data import TableDataConfig
from shared.data.pixels.files import existing_path
from shared.data.pixels.limits import over
from shared.data.sources.doubts import number_of
from shared.data.sources.listing import is_table, shown_names, without_suffix
from shared.data.sources.records import line_without_utf8, read_records
from shared.data.sources.table import metadata_error
from shared.runtime.errors import DataError, shortened

_BLOCK = 20_000  # rows at once
_MOST_TEXT = 131_072  # characters of one value, as in CSV
_LISTED = 10  # lines of one error
_INDEX = ("Unnamed: 0", "__index_level_0__")
_SEPARATORS = (",", ";", "\t", "|")
_SAYS_SEPARATOR = re.compile(rb"(?:\xef\xbb\xbf)?\"?sep=([,;\t|])\"?\r?\n", re.IGNORECASE)

Values = Sequence[str] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """Some rows.

    Attributes
    ----------
    rows : ndarray [n], int64
        Where each stands: its line, or its number from 1.
    columns : list of sequence of str, or ndarray [n], float64
        In the order of the names.
    """

    rows: npt.NDArray[np.int64]
    columns: list[Values]


@dataclass(frozen=True)
class TableFile:
    """A table that is open.

    Attributes
    ----------
    origin : str
        What messages call it.
    noun : str
        What the number of a row is: ``line`` or ``row``.
    names : list of str
        Of the columns; a column without a name is not among them.
    notes : list of str
        What was ignored or guessed.
    file_column : str, optional
        Of a folder: the column that names the file of each row.
    """

    origin: str
    noun: str
    names: list[str]
    blocks: Iterator[Block]
    notes: list[str]
    file_column: str | None = None


def open_table(cfg: TableDataConfig, *, texts: Callable[[str], bool], origin: str | None = None) -> TableFile:
    """Open the file that is configured, or all files of a folder.

    Parameters
    ----------
    texts : callable
        Whether the values of a column are wanted as texts, also where the file knows them as numbers.
    origin : str, optional
        What messages call the table; its path by default.

    Raises
    ------
    DataError
        It is not there, not a table, beyond a limit, or names a column twice; or files of a folder differ in
        their columns.
    """
    assert cfg.path is not None
    if origin is not None:  # the rows of a query, which are kept as Parquet
        return _parquet(Path(cfg.path), cfg, texts=texts, origin=origin)
    named = Path(cfg.path).expanduser()
    if named.is_dir():
        return _folder(named, cfg, texts=texts)
    return _file(existing_path(cfg.path, folder=False), cfg, texts=texts)


def tables_in(folder: Path) -> list[Path]:
    """The tables of a folder and of the folders in it, by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_table(path.name))


def _folder(folder: Path, cfg: TableDataConfig, *, texts: Callable[[str], bool]) -> TableFile:
    """All tables of a folder and the folders in it, one after the other, with a column that names the file."""
    paths = tables_in(folder)
    if not paths:
        raise DataError(f"data.path: {folder} holds no CSV or Parquet file, which data=table reads")
    if (size := sum(path.stat().st_size for path in paths)) > cfg.max_table_bytes:
        raise metadata_error(
            str(folder), [over(f"its files have {size} bytes", "max_table_bytes", cfg.max_table_bytes)]
        )
    files = {str(path.relative_to(folder)): _file(path, cfg, texts=texts) for path in paths}
    first, *others = files
    names = files[first].names
    problems = [
        f"{other} has not the columns of {first}: {_difference(names, files[other].names)}"
        for other in others
        if files[other].names != names
    ]
    if cfg.columns.file in names:
        problems.append(
            f"its files have a column {cfg.columns.file!r}, and data.columns.file calls the one so that names "
            "the file of a row; set it to another name, or to null"
        )
    if problems:
        more = [f"{len(problems) - _LISTED} more files differ"] if len(problems) > _LISTED else []
        raise metadata_error(str(folder), [*problems[:_LISTED], *more])
    column = cfg.columns.file

    def blocks() -> Iterator[Block]:
        start = 1
        for name, file in files.items():
            called = without_suffix(name)
            for block in file.blocks:
                count = len(block.rows)
                numbers = np.arange(start, start + count, dtype=np.int64)
                start += count
                if start - 1 > cfg.max_rows:
                    found = f"its files have {start - 1} rows or more"
                    raise metadata_error(str(folder), [over(found, "max_rows", cfg.max_rows)])
                yield Block(numbers, [*block.columns, *([[called] * count] if column else [])])

    notes = [f"{len(paths)} files, read in the order of their names: {shown_names(files)}"]
    notes += dict.fromkeys(note for file in files.values() for note in file.notes)
    return TableFile(str(folder), "row", [*names, *([column] if column else [])], blocks(), notes, column)


def _difference(expected: Sequence[str], found: Sequence[str]) -> str:
    lacking = [name for name in expected if name not in found]
    more = [name for name in found if name not in expected]
    parts = [
        f"{what} {shown_names(names)}"
        for what, names in (("it lacks", lacking), ("it has also", more))
        if names
    ]
    return ", and ".join(parts) or "they come in another order"


def _file(path: Path, cfg: TableDataConfig, *, texts: Callable[[str], bool]) -> TableFile:
    if (size := path.stat().st_size) > cfg.max_table_bytes:
        raise metadata_error(str(path), [over(f"it has {size} bytes", "max_table_bytes", cfg.max_table_bytes)])
    with path.open("rb") as handle:
        start = handle.read(4)
    if start == b"PAR1":
        return _parquet(path, cfg, texts=texts)
    if start[:2] == b"PK":
        raise metadata_error(
            str(path), ["it is a ZIP or a spreadsheet; save it as CSV (UTF-8), or unpack the CSV in it"]
        )
    return _csv(path, cfg, packed=start[:2] == b"\x1f\x8b")


def _csv(path: Path, cfg: TableDataConfig, *, packed: bool) -> TableFile:
    origin = str(path)
    content = _unpacked(path, most=cfg.max_table_bytes) if packed else path.read_bytes()
    notes: list[str] = []
    separator = cfg.separator
    if said := _SAYS_SEPARATOR.match(content):
        # Of spreadsheets. An empty line in its place keeps the numbers of the others.
        content = b"\n" + content[said.end() :]
        separator = said[1].decode() if separator == "auto" else separator
        notes.append(f"line 1 says that columns are separated by {said[1].decode()!r}")
    elif separator == "auto":
        separator = _separator(content)
        if separator != ",":
            notes.append(f"columns are separated by {'tabs' if separator == chr(9) else repr(separator)}")
    records = _utf8(read_records(content, origin, limits=cfg, delimiter=separator), content, origin=origin)
    header = [name.strip() for name in next(records, (0, []))[1]]
    if not any(header):
        raise metadata_error(origin, ["it is empty"])
    if all(name == "" or math.isfinite(number_of(name)) for name in header):
        raise metadata_error(
            origin,
            [f"its first line holds numbers ({', '.join(header[:5])}), the names of columns are expected"],
        )
    places = _named(header, origin=origin, notes=notes)
    blocks = _csv_blocks(records, places=places, header=header, origin=origin)
    return TableFile(origin, "line", [header[place] for place in places], blocks, notes)


def _csv_blocks(
    records: Iterator[tuple[int, list[str]]], *, places: list[int], header: list[str], origin: str
) -> Iterator[Block]:
    uneven, first, width = 0, list[str](), len(header)
    while block := list(islice(records, _BLOCK)):
        whole = []
        for line, record in block:
            if len(record) == width:
                whole.append((line, record))
                continue
            uneven += 1
            if uneven <= _LISTED:
                comment = "; it begins with #: leave comments out" if _is_comment(record) else ""
                first.append(f"line {line} has {len(record)} values, the header has {width}{comment}")
        if uneven:  # refused: the rest is read only to say how many there are
            continue
        columns = list(zip(*(record for _, record in whole), strict=True))
        yield Block(
            np.array([line for line, _ in whole], dtype=np.int64),
            [[text.strip() for text in columns[place]] for place in places],
        )
    if uneven:
        more = [f"{uneven - _LISTED} more lines have not {width} values"] if uneven > _LISTED else []
        if _is_comment(header):
            first = [
                f"its first line begins with # ({header[0][:50]!r}), where the names of columns are expected; "
                "leave comments out"
            ]
            more = []
        raise metadata_error(origin, [*first, *more])


def _is_comment(record: Sequence[str]) -> bool:
    return bool(record) and record[0].lstrip().startswith("#")


def _separator(content: bytes) -> str:
    first = content.split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
    counts = {separator: first.count(separator) for separator in _SEPARATORS}
    return max(_SEPARATORS, key=counts.__getitem__)  # the first where there are as many of several


def _named(header: Sequence[str], *, origin: str, notes: list[str]) -> list[int]:
    if twice := sorted(name for name, count in Counter(header).items() if name and count > 1):
        raise metadata_error(origin, [f"column {name!r} appears twice" for name in twice])
    if nameless := [str(place + 1) for place, name in enumerate(header) if not name]:
        notes.append(
            f"column {nameless[0]} has no name and is not read"
            if len(nameless) == 1
            else f"columns {', '.join(nameless[:10])} have no name and are not read"
        )
    if index := [name for name in header if name in _INDEX]:
        notes.append(f"the numbers that pandas gave the rows are not read: column {index[0]!r}")
    return [place for place, name in enumerate(header) if name and name not in _INDEX]


def _unpacked(path: Path, *, most: int) -> bytes:
    try:
        with gzip.open(path) as handle:
            content = handle.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise metadata_error(str(path), [f"it cannot be unpacked: {error}"]) from None
    if len(content) > most:
        raise metadata_error(
            str(path), [over(f"unpacked it has more than {most} bytes", "max_table_bytes", most)]
        )
    return content


def _utf8(
    records: Iterator[tuple[int, list[str]]], content: bytes, *, origin: str
) -> Iterator[tuple[int, list[str]]]:
    try:
        yield from records
    except UnicodeDecodeError:
        line = line_without_utf8(content)
        raise metadata_error(origin, [f"line {line} is not UTF-8 (save the file as CSV UTF-8)"]) from None


def _parquet(
    path: Path, cfg: TableDataConfig, *, texts: Callable[[str], bool], origin: str | None = None
) -> TableFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    origin = origin or str(path)
    try:
        schema = pq.read_schema(path)
        # Each text is kept once, however often a small file repeats it.
        texts_of = [field.name for field in schema if pa.types.is_string(field.type)]
        file = pq.ParquetFile(path, read_dictionary=texts_of)
        names, size = list(file.schema_arrow.names), int(file.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise metadata_error(origin, [shortened(f"it is no Parquet that can be read: {error}")]) from None
    for found, setting, count, limit in (
        (f"it has {len(names)} columns", "max_columns", len(names), cfg.max_columns),
        (f"it has {size} rows", "max_rows", size, cfg.max_rows),
    ):
        if count > limit:
            raise metadata_error(origin, [over(found, setting, limit)])
    notes: list[str] = []
    places = _named([name.strip() for name in names], origin=origin, notes=notes)
    wanted = [texts(names[place].strip()) for place in places]

    def blocks() -> Iterator[Block]:
        start, unpacked = 1, 0
        try:
            for batch in file.iter_batches(batch_size=_BLOCK):
                unpacked += batch.nbytes
                if unpacked > cfg.max_table_bytes:
                    found = f"unpacked it has more than {cfg.max_table_bytes} bytes"
                    raise metadata_error(origin, [over(found, "max_table_bytes", cfg.max_table_bytes)])
                rows = np.arange(start, start + batch.num_rows, dtype=np.int64)
                start += batch.num_rows
                yield Block(
                    rows,
                    [
                        _of_arrow(batch.column(place), as_text=text, name=names[place], origin=origin)
                        for place, text in zip(places, wanted, strict=True)
                    ],
                )
        except MemoryError:  # Arrow's is one of its errors too
            raise
        except (pa.ArrowException, OSError) as error:
            raise metadata_error(origin, [shortened(f"it cannot be read: {error}")]) from None

    return TableFile(origin, "row", [names[place].strip() for place in places], blocks(), notes)


def _of_arrow(values: Any, *, as_text: bool, name: str, origin: str) -> Values:
    import pyarrow as pa

    kind = values.type
    if not as_text and (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        numbers = values.cast(pa.float64(), safe=False)
        return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    if pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type):
        distinct = [text.strip() for text in values.dictionary.to_pylist()]
        if distinct and (longest := max(map(len, distinct))) > _MOST_TEXT:
            raise metadata_error(
                origin, [f"column {name!r} has a text of {longest} characters; at most {_MOST_TEXT} are read"]
            )
        return ["" if place is None else distinct[place] for place in values.indices.to_pylist()]
    try:
        found = values.cast(pa.string()).to_pylist()
    except MemoryError:
        raise
    except pa.ArrowException:
        raise DataError(
            f"{origin}: column {name!r} holds {kind}, expected numbers, texts, booleans or times; leave it out "
            f"with data.drop=[{name}]"
        ) from None
    return ["" if text is None else text.strip() for text in found]
