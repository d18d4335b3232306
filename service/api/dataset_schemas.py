"""JSON schemas of datasets, as pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.read.schemas import Shape

DatasetFormat = Literal["zip", "npz", "csv", "parquet"]
DatasetState = Literal["uploading", "checking", "ready", "rejected"]


class Dataset(Shape):
    """What was uploaded to be trained on."""

    name: str = Field(examples=["ward-7"])
    format: DatasetFormat
    state: DatasetState
    bytes: int
    percent: float = Field(description="How much of it has come.")
    sha256: str | None = Field(description="Of the file; null until all of it has come.")
    kind: Literal["images", "table"] | None = Field(description="null until it is ready, as `labelled`.")
    labelled: int | None = Field(description="Images or rows that can be trained on.")
    error_code: str | None = Field(description="Why it is rejected; stable, docs/service.md lists them.")
    error: str | None
    created: datetime
    ready: datetime | None


class DatasetDetail(Dataset):
    """What was uploaded, and what was found in it."""

    layout: str | None = Field(description="How it was understood.")
    summary: list[str] = Field(description="Rows by class and side, and what was noticed, as lines.")
    used_by: list[str] = Field(description="Jobs and schedules that keep it from being deleted.")


class Datasets(Shape):
    """One page of the list of datasets."""

    datasets: list[Dataset]
    next: str | None = Field(description="Pass as `after` to get the next page; null on the last page.")


class TableColumn(Shape):
    """A column of a table."""

    name: str
    kind: Literal["number", "text", "empty"]
    missing: int = Field(description="Rows without a value.")
    different_texts: int
    smallest: float | None
    largest: float | None


class Preview(Shape):
    """The first rows of a dataset; of images, their names and what is known of them."""

    columns: list[str]
    rows: list[list[str | float | None]]
    described: list[TableColumn] = Field(description="Of a table; at most 1,000.")
