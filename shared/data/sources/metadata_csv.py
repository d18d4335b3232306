"""`MetadataSource`: ``metadata.csv``, whose rows name files under ``images/``, in a ZIP or a folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.config.data import ColumnsConfig
from shared.data.pixels.decode_pool import decode_files
from shared.data.pixels.files import FileTree, open_reader
from shared.data.pixels.zip_archive import normal_name, unsafe_reason
from shared.data.sources.columns import find_columns
from shared.data.sources.layout import advise
from shared.data.sources.table import Naming, Table, metadata_error

NAME = "metadata.csv"
IMAGES = "images"


@dataclass(frozen=True)
class MetadataSource:
    """``metadata.csv`` and ``images/``, in a ZIP or a folder."""

    content: FileTree
    naming: Naming

    def table(self) -> Table:
        """The rows of ``metadata.csv``.

        Raises
        ------
        ArchiveError, MetadataError
        """
        files = self.content.files()
        name = self._top(files) + NAME
        try:
            with open_reader(self.content.root) as read:
                content = read(files[name])
        except Exception as error:  # a damaged entry raises nearly anything
            raise metadata_error(f"{name} of {self.content.root}", [f"it cannot be read: {error}"]) from None
        return parse_metadata(content, columns=self.naming.columns, origin=self.naming.origin)

    def write(self, table: Table, *, out: Path, workers: int | None, progress: bool) -> dict[int, str]:
        """Decode the files that the rows name."""
        files = self.content.files()
        top = self._top(files)
        wanted = [top + image_name(name) for name in table.columns[self.naming.columns.filename]]
        bad = {row: f"there is no file {name}" for row, name in enumerate(wanted) if name not in files}
        names = {row: files[name] for row, name in enumerate(wanted) if row not in bad}
        bad.update(decode_files(self.content.root, names=names, out=out, workers=workers, progress=progress))
        return bad

    def _top(self, files: dict[str, str]) -> str:
        if NAME in files:
            return ""
        tops = [name.removesuffix(NAME) for name in files if name.split("/")[1:] == [NAME]]
        if len(tops) == 1:
            return tops[0]
        top_level = sorted({name.split("/")[0] for name in files})
        found = f"{NAME} is in {len(tops)} folders" if tops else f"there is no {NAME}"
        hint = [] if tops else advise(self.content.root)
        raise metadata_error(str(self.content.root), [f"{found}; at the top lie {top_level[:20]}", *hint])


def parse_metadata(content: bytes, *, columns: ColumnsConfig, origin: str) -> Table:
    """Parse ``metadata.csv``.

    Parameters
    ----------
    content : bytes
        UTF-8, comma-separated, with a header.
    columns : ColumnsConfig
        The filename and the label column must be there.
    origin : str
        What messages call the file.

    Returns
    -------
    Table
        All columns; its problems are rows that are too short or too long, and filenames that are empty, lead
        out of the folder or appear twice.

    Raises
    ------
    MetadataError
        Not UTF-8, not CSV, empty, or without a column that is needed.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise metadata_error(origin, [f"line {line} is not UTF-8 (save the file as CSV UTF-8)"]) from None
    lines = _records(text, origin)
    header = [name.strip() for name in next(lines, (0, []))[1]]
    if not any(header):
        raise metadata_error(origin, ["it is empty"])
    twice = sorted({name for name in header if name and header.count(name) > 1})
    problems = [f"column {name!r} appears twice" for name in twice]
    values: dict[str, list[str]] = {name: [] for name in header if name}
    numbers: list[int] = []
    for number, record in lines:
        if len(record) != len(header):
            problems.append(f"line {number} has {len(record)} values, the header has {len(header)}")
            continue
        numbers.append(number)
        for name, value in dict(zip(header, record, strict=True)).items():
            if name:
                values[name].append(value.strip())
    wrong: list[str] = []
    roles = find_columns(values, columns, notes=[], problems=wrong)
    if not {roles.filename, roles.label} <= values.keys():
        raise metadata_error(origin, [*wrong, *problems])
    notes: tuple[str, ...] = ()
    if roles.filename != columns.filename:
        values[columns.filename] = values.pop(roles.filename)
        notes = (f"column {roles.filename!r} is read as {columns.filename}",)
    if not numbers:
        raise metadata_error(origin, [*problems, "it has a header but no rows"])
    return Table(values, (*problems, *_filename_problems(values[columns.filename], numbers)), notes)


def image_name(filename: str) -> str:
    """Where the image of a row lies.

    Parameters
    ----------
    filename : str
        As the column has it: below ``images/``, which may be written or not.

    Returns
    -------
    str
        Normal name that begins with ``images/``.
    """
    name = normal_name(filename)
    return name if name.startswith(f"{IMAGES}/") else f"{IMAGES}/{name}"


def _records(text: str, origin: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for record in reader:
            if any(record):
                yield reader.line_num, record
    except csv.Error as error:
        raise metadata_error(origin, [f"line {reader.line_num} is not CSV: {error}"]) from None


def _filename_problems(filenames: list[str], numbers: list[int]) -> list[str]:
    problems = []
    first: dict[str, int] = {}
    for filename, number in zip(filenames, numbers, strict=True):
        if not filename:
            problems.append(f"line {number} has no filename")
        elif unsafe := unsafe_reason(filename):
            problems.append(f"line {number}: {filename!r} {unsafe}")
        elif (name := image_name(filename)) in first:
            problems.append(f"line {number}: {filename!r} appears already in line {first[name]}")
        else:
            first[name] = number
    return problems
