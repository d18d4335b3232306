"""Which old runs may go, and why others stay; thinning of the rows of clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.database import Database
from shared.tracking.digests import keep_digest, read_digests
from shared.tracking.metrics import IDS_A_STATEMENT, batched
from shared.tracking.rows import FINISHED, INTERRUPTED, RunRow
from shared.tracking.schema import run, run_metrics
from shared.tracking.store import Store
from shared.tracking.transaction import change_run
from shared.tracking.twins import members_of


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which runs are meant; a run must meet all that is given.

    Attributes
    ----------
    older_than : timedelta, optional
        Since their end.
    statuses : sequence of str
        Empty: any.
    keep_last : int
        How many of the newest runs stay; a comparison with its runs counts once.
    """

    older_than: timedelta | None = None
    statuses: Sequence[str] = ()
    keep_last: int = 0


@dataclass(frozen=True)
class Candidate:
    """A run that belongs to no other, or a comparison or sweep with its runs.

    Attributes
    ----------
    runs : tuple of RunRow
        The run first.
    kept_because : str
        Why it stays although it was chosen; empty if it may go.
    rows : int
        Of metrics.
    files : tuple of Path
        Files and folders.
    num_bytes : int
        Of the files.
    """

    runs: tuple[RunRow, ...]
    kept_because: str
    rows: int
    files: tuple[Path, ...]
    num_bytes: int


def candidates(store: Store, home: Home, choice: Choice) -> list[Candidate]:
    """The runs that a choice means, oldest first, with the reason why some of them stay."""
    tops = [one for one in store.runs.search() if one.parent_id is None]
    compared = {
        member.id: top.id for top in tops if top.summary.get("of_runs") for member in members_of(store, top)
    }
    found = []
    for top in reversed(tops[choice.keep_last :]):
        if not _is_meant(top, choice):
            continue
        runs = (top, *_below(store, top))
        files = tuple(path for one in runs for path in home.files_of(one.id))
        rows = sum(store.metrics.count(one.id) for one in runs)
        kept = _reason(runs, compared) or _guard(store, runs)
        found.append(Candidate(runs, kept, rows, files, sum(map(size_of, files))))
    return found


def _below(store: Store, top: RunRow) -> Iterator[RunRow]:
    """The runs of a comparison; of a sweep its trials, and the twins of each."""
    for child in store.runs.children(top.id):
        yield child
        if top.training_mode == "sweep" and child.training_mode == "compare":
            yield from store.runs.children(child.id)


def _is_meant(top: RunRow, choice: Choice) -> bool:
    if choice.statuses and top.status not in choice.statuses:
        return False
    since = datetime.now(UTC) - (top.ended or datetime.now(UTC))
    return choice.older_than is None or since >= choice.older_than


def _reason(runs: Sequence[RunRow], compared: dict[int, int]) -> str:
    for one in runs:
        if not one.finished:
            return f"run {one.id} is {one.status}"
        if one.tags:
            return f"run {one.id} has tags ({', '.join(one.tags)}): fedtwin tag {one.id} --remove ..."
        if one.id in compared:
            return f"comparison {compared[one.id]} is of run {one.id}: fedtwin delete {compared[one.id]} first"
    resumable = next((one for one in runs if one.stop_reason == INTERRUPTED), None)
    return "" if resumable is None else f"run {resumable.id} can be resumed: fedtwin resume {runs[0].id}"


def _guard(store: Store, runs: Sequence[RunRow]) -> str:
    found = next(((one.id, what) for one in runs if (what := store.models.guarded(one.id))), None)
    return "" if found is None else f"{found[1]} stands on run {found[0]}"


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else (path,)
    total = 0
    for file in files:
        try:
            total += file.lstat().st_size if not file.is_dir() else 0
        except OSError:
            continue  # removed meanwhile
    return total


def thin_clients(database: Database, run_id: int) -> int:
    """Delete the rows of a run's clients that its digests do not hold, in one transaction.

    Of each client and metric stay the first and the last value, the extremes of each stretch, and what was
    measured in the tested round. Charts, costs and newest values stay as they are.

    Returns
    -------
    int
        How many rows were deleted.

    Raises
    ------
    TrackingError
        There is no such run, or it has not ended.
    """
    columns = run_metrics.c
    with change_run(database, run_id) as (connection, found):
        if found.status not in FINISHED:
            raise TrackingError(f"run {run_id} is still {found.status}; thin it when it has ended")
        keep_digest(connection, run_id)
        digests, _, _ = read_digests(connection, run_id)
        kept = {number for one in digests for number in one.rows["id"].tolist()}
        tested = found.summary.get("test_round")
        mine = sa.select(columns.id, columns.round).where(
            columns.run_id == run_id, columns.client_id.is_not(None)
        )
        leaving = [
            number
            for number, at in connection.execute(mine)
            if number not in kept and (at is None or at != tested)
        ]
        for some in batched(leaving, IDS_A_STATEMENT):
            connection.execute(sa.delete(run_metrics).where(columns.id.in_(some)))
        summary = {**found.summary, "thinned": found.summary.get("thinned", 0) + len(leaving)}
        if leaving:
            connection.execute(sa.update(run).where(run.c.id == run_id).values(summary=summary))
    return len(leaving)


def compact(database: Database) -> None:
    """Give the space of deleted rows back to the file system; PostgreSQL does so by itself.

    Raises
    ------
    TrackingError
        The database cannot be used, such as when another process reads it for long.
    """
    if not database.is_sqlite:
        return
    connection = database.connect_apart()
    try:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except Exception as error:
        raise TrackingError(
            f"the rows are deleted, but {database.shown} keeps its size ({error}): run fedtwin prune again "
            "when nobody uses it; new rows take the space meanwhile"
        ) from None
    finally:
        connection.close()
