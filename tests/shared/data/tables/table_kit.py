"""What the tests of tables share: settings of a table, and its columns as they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from shared.config.compose import compose
from shared.config.table_data import TableDataConfig
from shared.data.sources.targets import TargetReader
from shared.data.tables.cells import Cells, Reading
from shared.data.tables.files import open_table
from shared.data.tables.load import TableData, load_table
from shared.runtime.errors import DataError
from shared.tasks.image_classification.data import read_classes


def table_config(path: Path, *overrides: str, target: str) -> TableDataConfig:
    """Settings of a table, changed by overrides in Hydra's form."""
    return compose(
        ["task=tabular_classification", f"data.path={path}", f"data.target={target}", *overrides]
    ).table


def read_rows(cfg: TableDataConfig) -> tuple[list[str], list[Cells], np.ndarray[Any, Any]]:
    """Names, columns and lines of a file."""
    file = open_table(cfg, texts=lambda name: False)
    columns = [Cells(Reading(as_text=name == file.file_column)) for name in file.names]
    rows = []
    for block in file.blocks:
        rows.append(block.rows)
        for cells, values in zip(columns, block.columns, strict=True):
            cells.add(values)
    if not rows:
        raise DataError(f"{file.origin} cannot be used: it has a header but no rows")
    return file.names, columns, np.concatenate(rows)


def load(
    path: Path, text: str, *overrides: str, target: str = "y", read_targets: TargetReader = read_classes
) -> TableData:
    """Write a CSV, and load it."""
    path.write_text(text)
    return load_table(table_config(path, *overrides, target=target), read_targets=read_targets)


def refused(path: Path, text: str, *overrides: str, target: str = "y") -> str:
    """Why a CSV is refused."""
    try:
        load(path, text, *overrides, target=target)
    except DataError as error:
        return str(error)
    raise AssertionError("it was read")
