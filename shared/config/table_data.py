"""Settings of ``data=table`` and ``data=sql``: which columns are inputs, how they are read and prepared."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from shared.config.data import Names, SplitSection
from shared.config.section import Positive, Section
from shared.runtime.secrets import secrets_of

ENVIRONMENT = "env:"  # what data.url begins with where an environment variable holds the URL
_URL = re.compile(r"[A-Za-z][\w+.-]*://.*", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_]\w*")


def _as_written(value: object) -> object:
    return str(value) if type(value) in (int, float) else value


Moment = Annotated[str | None, BeforeValidator(_as_written)]  # a time as a table writes it
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
    source: Literal["table", "sql"]
    path: str | None
    # Of source=sql alone; stored runs of before have no such keys.
    url: str | None = None
    query: str | None = None
    table: str | None = None
    key: Names = ()
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
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
    start: Moment = None  # stored runs of before have no such keys
    end: Moment = None
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
    def _from_somewhere(self) -> TableDataConfig:
        if self.source == "table":
            if self.path is None:
                raise ValueError("data.source=table needs data.path=FILE")
            if self.url or self.query or self.table or self.key or self.digest:
                raise ValueError("data.url, query, table, key and digest are of data=sql")
            return self
        if self.path is not None:
            raise ValueError("data.path has no effect with data=sql, whose rows are those of data.query")
        if problem := url_problem(self.url):
            raise ValueError(f"data.url: {problem}")
        if (self.query is None) == (self.table is None):
            raise ValueError(
                "data=sql needs data.query='SELECT ...' or data.table=NAME"
                + ("" if self.query is None else ", and not both")
            )
        if (self.query if self.table is None else self.table) in ("", None):
            raise ValueError("data.query and data.table must not be empty")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> TableDataConfig:
        if self.separator != "auto" and len(self.separator) > 1:
            raise ValueError(f"data.separator must be auto or one character, got {self.separator!r}")
        if self.separator == self.decimal:
            raise ValueError(f"data.separator and data.decimal must differ, both are {self.decimal!r}")
        if (self.start is not None or self.end is not None) and self.columns.time is None:
            raise ValueError("data.start and data.end need data.columns.time, the column of the times of rows")
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


def url_problem(url: str | None) -> str:
    """What is wrong with the URL of a database in settings, which are stored; empty where nothing is."""
    if not url:
        return "expected the URL of a database, or env:NAME for the URL in an environment variable"
    if url.startswith(ENVIRONMENT):
        name = url.removeprefix(ENVIRONMENT)
        if not _VARIABLE.fullmatch(name) or secrets_of(name):
            return "expected env:NAME with the name of an environment variable, such as env:SENSORS_URL"
        return ""
    if secrets_of(url):
        return (
            "it holds a password, and settings are stored with each run; put the URL into an environment "
            "variable and name that, as in data.url=env:SENSORS_URL (or keep the password in ~/.pgpass)"
        )
    if not _URL.fullmatch(url):
        return "expected a URL such as sqlite:///FILE or postgresql://USER@HOST/NAME, or env:NAME"
    return ""
