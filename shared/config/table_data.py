"""Settings of ``data=table``: which columns are inputs, how they are read, and what is done to them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from shared.config.data import Names, SplitSection
from shared.config.section import Positive, Section

ReadAs = Literal["numeric", "categorical", "boolean"]


class TableColumnsConfig(Section):
    """Names of the columns that are no inputs; a null name is not read."""

    patient_id: str | None
    split: str | None
    site: str | None
    time: str | None
    series: str | None
    file: str | None = "file"  # stored runs of before have no such key


class TableDataConfig(SplitSection):
    """Which table, what its columns are, how its rows are split and batched."""

    name: str
    source: Literal["table"]
    path: str
    target: str | None
    target_bins: tuple[float, ...] | None
    inputs: Names | None
    drop: Names
    kinds: dict[str, ReadAs]
    levels: dict[str, Names]
    missing_values: Names
    missing_in: dict[str, Names]
    separator: Annotated[str, Field(min_length=1, max_length=4)]
    decimal: Literal[".", ","]
    classes: Names | None
    positive: str | None
    columns: TableColumnsConfig
    scaling: Literal["federated", "local", "none"]
    missing: Literal["mean", "indicator", "drop", "error"]
    missing_target: Literal["error", "drop"]
    drop_first_level: bool
    max_levels: Annotated[int, Field(ge=2, le=10_000)]
    min_count: Positive
    max_rows: Positive
    max_columns: Positive
    max_table_bytes: Positive
    batch_size: Positive
    eval_batch_size: Positive

    @field_validator("target_bins")
    @classmethod
    def _ascending(cls, edges: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if edges is not None and (not edges or list(edges) != sorted(set(edges))):
            raise ValueError(f"expected edges in ascending order, such as [0], got {list(edges)}")
        return edges

    @model_validator(mode="after")
    def _consistent(self) -> TableDataConfig:
        if self.separator != "auto" and len(self.separator) > 1:
            raise ValueError(f"data.separator must be auto or one character, got {self.separator!r}")
        if self.separator == self.decimal:
            raise ValueError(f"data.separator and data.decimal must differ, both are {self.decimal!r}")
        if twice := sorted({name for name in self.inputs or () if (self.inputs or ()).count(name) > 1}):
            raise ValueError(f"data.inputs names {', '.join(twice)} twice")
        if clash := sorted({*(self.inputs or ())} & {*self.drop}):
            raise ValueError(f"data.inputs and data.drop both name {', '.join(clash)}; name each in one")
        if self.target is None and self.target_bins is not None:
            raise ValueError(
                "data.target_bins is of a target, and there is none; set data.target, or leave it out"
            )
        if self.target in {*(self.inputs or ()), *self.drop}:
            raise ValueError(f"data.target={self.target} must not be in data.inputs or data.drop")
        not_levels = sorted(
            name for name in self.levels if self.kinds.get(name, "categorical") != "categorical"
        )
        if not_levels:
            raise ValueError(
                f"data.levels is for categorical columns, and data.kinds says otherwise of "
                f"{', '.join(not_levels)}"
            )
        if doubled := sorted(name for name, own in self.levels.items() if len(set(own)) < len(own)):
            raise ValueError(f"data.levels names a level of {', '.join(doubled)} twice")
        return self
