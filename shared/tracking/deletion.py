"""`delete_run`, `delete_files`: remove a run from the database and the disk; runs that belong together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.change_feed import announce
from shared.tracking.database import Database
from shared.tracking.model_guard import check_not_guarded
from shared.tracking.rows import FINISHED
from shared.tracking.schema import run
from shared.tracking.transaction import lock_run


class UndeletableRun(TrackingError):
    """A run that cannot be deleted as it is."""


def delete_run(database: Database, run_id: int, *, with_children: bool, force: bool = False) -> list[int]:
    """Delete a run and all its rows, in one transaction.

    Parameters
    ----------
    with_children : bool
        Delete the runs of a comparison with it; they stay as runs of their own otherwise.
    force : bool
        Also runs on which a version of a model stands that an alias names, or that a rollback would return to;
        the alias goes with them.

    Returns
    -------
    list of int
        The runs that were deleted.

    Raises
    ------
    TrackingError
        There is no such run.
    UndeletableRun
        It or a run below it has not ended, or it belongs to a comparison.
    GuardedRun
    """
    with database.write() as connection:
        lock_run(database, connection, run_id)
        family = _family(connection, run_id)
        parent = family[0].parent_id
        if parent is not None:
            raise UndeletableRun(
                f"run {run_id} belongs to run {parent}, which shows it; delete both with "
                f"`fedtwin delete {parent} --with-children`"
            )
        if busy := [row for row in family if row.status not in FINISHED]:
            raise UndeletableRun(f"run {busy[0].id} is still {busy[0].status}; stop it before you delete it")
        ids = [row.id for row in family] if with_children else [run_id]
        if not force:
            check_not_guarded(
                connection, ids, advice="promote another version first, or delete it all the same with --force"
            )
        connection.execute(sa.delete(run).where(run.c.id.in_(ids)))  # the other tables follow by their keys
        for deleted in ids:
            announce(connection, deleted)
    return ids


def delete_files(run_id: int, home: Home, *, jobs: Sequence[int]) -> None:
    """Delete what a run, which is deleted, has written.

    Parameters
    ----------
    jobs : sequence of int
        Those that trained it, see `Jobs.of_run`: their logs go too.

    Raises
    ------
    TrackingError
        A file cannot be deleted.
    """
    logs = [path for job_id in jobs if (path := home.job_dir(job_id)).exists()]
    for path in [*home.files_of(run_id), *logs]:
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as error:
            raise TrackingError(
                f"run {run_id} is deleted, but {path} is not: {error.strerror}; remove it by hand"
            ) from None


def _family(connection: sa.Connection, run_id: int) -> list[Any]:
    """The run, its children, their children ..., locked."""
    columns = sa.select(run.c.id, run.c.status, run.c.parent_id).order_by(run.c.id).with_for_update()
    family = connection.execute(columns.where(run.c.id == run_id)).all()
    below = family
    while below:
        below = connection.execute(columns.where(run.c.parent_id.in_([row.id for row in below]))).all()
        family = [*family, *below]
    return list(family)
