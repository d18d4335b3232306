"""`pack_runs` and `read_runs`: a run with the runs below it and all their rows, as data between databases."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from shared.runtime.errors import TrackingError
from shared.tracking.changes import TABLES, AddPoints, Change, MergeSummary, PutRows, decode
from shared.tracking.rows import RunRow
from shared.tracking.run_tables import rows_of_run
from shared.tracking.schema import LARGEST_ID, CleanText, Measured, UtcDateTime
from shared.tracking.store import Store
from shared.tracking.twins import BORROWED, members_of

FORMAT = 1
MOST_BYTES = 2**30  # of the JSON; 10 million values of metrics
_NOT_KEPT = ("best",)  # of a summary: it is computed where the run ends

Key = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Point = tuple[
    Literal["train", "val", "test"],
    Annotated[str, Field(min_length=1, max_length=500)],
    float,
    Annotated[int, Field(ge=0, le=LARGEST_ID)] | None,
    Annotated[int, Field(ge=0, le=LARGEST_ID)] | None,
    Annotated[int, Field(ge=0, le=LARGEST_ID)] | None,
    Annotated[int, Field(ge=0, lt=2**63)] | None,
    AwareDatetime,
]


class BundleError(TrackingError):
    """What is to be written to the database is no bundle of runs."""


class BundledRun(BaseModel):
    """One run of a bundle.

    Attributes
    ----------
    key, parent : int
        Name the run within the bundle alone; the parent stands before it, and the first run has none.
    points : list of tuple
        Stage, name, value, client, round, epoch, examples, time.
    tables : dict of str to list of dict
        Rows of ``round``, ``client`` and ``server_evaluation``, without the run's id; times as text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Key
    parent: Key | None
    name: str
    description: str
    training_mode: Literal["centralized", "federated", "local", "compare"]
    status: Literal["completed"]
    config: dict[str, Any]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    started: AwareDatetime
    ended: AwareDatetime
    stop_reason: str | None
    summary: dict[str, Any]
    points: list[Point]
    tables: dict[str, list[dict[str, Any]]]

    def changes(self) -> list[Change]:
        """What is to be written, but for the run's row and its end."""
        points = [[*row[:-1], row[-1].isoformat()] for row in self.points]
        rows = [decode({"table": name, "rows": rows}) for name, rows in self.tables.items() if rows]
        return [decode({"points": points}), *rows, MergeSummary(self.summary)]


def pack_runs(store: Store, run_id: int) -> bytes:
    """A completed run and the runs below it, as `read_runs` reads them.

    Returns
    -------
    bytes
        JSON, compressed.
    """
    root = store.runs.get(run_id)
    below = members_of(store, root) if root.training_mode == "compare" else []
    runs = [_packed(store, run, parent=None if run is root else run_id) for run in (root, *below)]
    text = json.dumps({"format": FORMAT, "runs": runs}, ensure_ascii=False)
    return zlib.compress(text.encode("utf-8", "replace"))


def read_runs(content: bytes) -> list[BundledRun]:
    """Check what came from another machine: it can hold nothing but runs with their rows.

    Returns
    -------
    list of BundledRun
        The first is the one that all others are below.

    Raises
    ------
    BundleError
    """
    if not isinstance(content, bytes):
        raise BundleError(f"runs arrive as bytes, got {type(content).__name__}")
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(content, MOST_BYTES)
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise BundleError(f"a bundle of runs is larger than {MOST_BYTES >> 20} MiB, or cut off")
        document = json.loads(text)
    except (zlib.error, ValueError, RecursionError) as error:
        raise BundleError(f"a bundle of runs cannot be read: {error}") from None
    if (
        not isinstance(document, dict)
        or document.get("format") != FORMAT
        or set(document) != {"format", "runs"}
    ):
        raise BundleError(f"expected a bundle of runs of format {FORMAT}: worker and command differ in version")
    if not isinstance(document.get("runs"), list) or not document["runs"]:
        raise BundleError("a bundle of runs has no run")
    try:
        runs = [BundledRun.model_validate(one) for one in document["runs"]]
    except ValidationError as error:
        raise BundleError(f"a bundle of runs is not valid: {error.error_count()} problems, {error}") from None
    _check_family(runs)
    for one in runs:
        for name, rows in one.tables.items():
            _check_rows(name, rows)
        with_ids(one.summary, {run.key: run.key for run in runs})
    return runs


def with_ids(summary: Mapping[str, Any], ids: Mapping[int, int]) -> dict[str, Any]:
    """A summary in which runs of the bundle have their ids in another database.

    Raises
    ------
    BundleError
        It names a run that is not in the bundle.
    """
    found = dict(summary)
    try:
        if BORROWED in found:
            found[BORROWED] = _renamed(found[BORROWED], ids)
        if isinstance(found.get("twins"), dict):
            twins = {name: _renamed(value, ids) for name, value in found["twins"].items() if name != "seeds"}
            found["twins"] = {**found["twins"], **twins}
    except (KeyError, TypeError) as error:
        raise BundleError(f"a comparison names runs that are not in its bundle: {error}") from None
    return found


def _renamed(value: Any, ids: Mapping[int, int]) -> Any:
    return [_renamed(one, ids) for one in value] if isinstance(value, list) else ids[value]


def _packed(store: Store, run: RunRow, *, parent: int | None) -> dict[str, Any]:
    assert run.status == "completed", f"run {run.id} is {run.status}"
    assert run.ended is not None
    tables = {}
    for name, table in TABLES.items():
        by = "client_id" if name == "client" else "round"
        rows = rows_of_run(store.database, table, run.id, by=by)
        own = [{key: value for key, value in row.items() if key != "run_id"} for row in rows]
        tables[name] = PutRows(table, own).encode()["rows"]
    return {
        "key": run.id,
        "parent": parent,
        **{name: getattr(run, name) for name in ("name", "description", "training_mode", "status", "config")},
        "seed": run.seed,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat(),
        "stop_reason": run.stop_reason,
        "summary": {key: value for key, value in run.summary.items() if key not in _NOT_KEPT},
        "points": AddPoints(store.metrics.of_run(run.id)).encode()["points"],  # type: ignore[arg-type]
        "tables": tables,
    }


def _check_family(runs: Sequence[BundledRun]) -> None:
    first, *others = runs
    if first.parent is not None:
        raise BundleError("the first run of a bundle is below no other")
    seen = {first.key}
    for one in others:
        if one.key in seen or one.parent not in seen:
            raise BundleError(f"run {one.key} of a bundle comes twice, or is below one that is not in it")
        seen.add(one.key)


def _check_rows(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    table = TABLES.get(name)
    if table is None:
        raise BundleError(f"a bundle of runs has rows of {name!r}; expected {', '.join(TABLES)}")
    columns = {column.name: column for column in table.c if column.name != "run_id"}
    for row in rows:
        if row.keys() != columns.keys():
            raise BundleError(f"a row of {name} has {sorted(row)}; expected {sorted(columns)}")
        for key, value in row.items():
            if not _fits(value, columns[key]):
                raise BundleError(f"{key} of a row of {name} cannot be {value!r:.80}")


def _fits(value: Any, column: sa.Column[Any]) -> bool:
    kind = column.type
    if isinstance(kind, sa.JSON):
        return value is None or isinstance(value, dict | list)
    if value is None:
        return bool(column.nullable)
    if isinstance(kind, UtcDateTime):
        return isinstance(value, str) and _is_time(value)
    if isinstance(kind, Measured | sa.Double):
        return isinstance(value, float | int) and not isinstance(value, bool)
    if isinstance(kind, sa.Integer):
        most = 2**63 if isinstance(kind, sa.BigInteger) else LARGEST_ID + 1
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < most
    longest = kind.length if isinstance(kind, sa.String) and kind.length else None
    text = isinstance(kind, sa.String | CleanText) and isinstance(value, str)
    return text and (longest is None or len(value) <= longest)


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) is not None and "+" in text
    except (ValueError, OverflowError):
        return False
