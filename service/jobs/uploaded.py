"""`uploaded_dataset`: the dataset that a training names, and whether it can be trained on."""

from __future__ import annotations

from pathlib import Path

from shared.config.config import Config
from shared.config.table_data import TableDataConfig
from shared.runtime.home import Home
from shared.tracking.dataset_use import NoDataset
from shared.tracking.datasets import DatasetRow
from shared.tracking.store import TenantStore


def uploaded_dataset(store: TenantStore, name: str | None) -> DatasetRow | None:
    """The dataset of a tenant with this name; None where nothing was uploaded under it.

    Raises
    ------
    NoDataset
        It is not ready.
    """
    row = None if name is None else store.datasets.find(name)
    if row is not None and row.state != "ready":
        raise NoDataset(f"{row.name} is {row.state}{f': {row.error}' if row.error else ''}")
    return row


def dataset_file(row: DatasetRow, home: Home) -> Path:
    """The file of a dataset.

    Raises
    ------
    NoDataset
        It is not on this machine.
    """
    path = home.dataset_dir(row.id) / row.file_name
    if not path.is_file():
        raise NoDataset(f"the file of {row.name} is not on this server; delete it, and upload it again")
    return path


def lacking_rows(row: DatasetRow, config: Config, *, least: int) -> str | None:
    """What is missing where a dataset has too few labelled images or rows to be trained on; None: nothing."""
    found, target = row.labelled or 0, None
    if isinstance(config.data, TableDataConfig) and (target := config.data.target) is not None:
        missing = {one["name"]: one["missing"] for one in row.found.get("columns", ())}
        found -= missing.get(target, 0)  # a column that is not there is told where the rows are read
    if found >= least:
        return None
    noun = "labelled images" if row.kind == "images" else "rows" if target is None else f"rows with {target!r}"
    return f"{row.name} has {found:,} {noun}; this server trains on {least:,} or more"
