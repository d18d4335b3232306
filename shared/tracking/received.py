"""`receive_trial`: writes the runs of a trial that trained without this database, once, and completes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from shared.tracking.changes import Finish, MergeSummary
from shared.tracking.database import Database
from shared.tracking.rows import TRIAL
from shared.tracking.run_bundle import BundledRun, with_ids
from shared.tracking.run_life import insert_run
from shared.tracking.schema import run, run_metrics, sweep_trial
from shared.tracking.transaction import change_run


def receive_trial(
    database: Database,
    sweep_id: int,
    number: int,
    runs: Sequence[BundledRun],
    *,
    place: Callable[[Mapping[int, int]], None] = lambda ids: None,
) -> dict[int, int] | None:
    """Write all runs of a trial, and that it is completed, at once or not at all.

    Parameters
    ----------
    runs : sequence of BundledRun
        See `shared.tracking.run_bundle.read_runs`.
    place : callable
        Keeps their files, before the transaction is committed; it is given the ids of the runs by their keys.

    Returns
    -------
    dict of int to int, or None
        The ids of the runs by their keys; None where the trial was complete already.

    Raises
    ------
    TrackingError
        There is no such sweep.
    """
    with change_run(database, sweep_id) as (connection, _):
        mine = (sweep_trial.c.sweep_id == sweep_id) & (sweep_trial.c.number == number)
        columns = (sweep_trial.c.status, sweep_trial.c.run_id)
        trial = connection.execute(sa.select(*columns).where(mine)).one()
        if trial.status == "completed":
            return None
        ids: dict[int, int] = {}
        for one in runs:
            ids[one.key] = _insert(connection, one, ids=ids, sweep_id=sweep_id, before=trial.run_id)
        for one in reversed(runs):  # a comparison ends after its twins
            row = SimpleNamespace(id=ids[one.key])
            for change in one.changes():
                change.apply(connection, row)
            own = {TRIAL: {"sweep": sweep_id, "number": number}} if one.parent is None else {}
            MergeSummary({**with_ids(one.summary, ids), **own}).apply(connection, row)
            Finish(one.status, one.ended, None, one.stop_reason, kept=True).apply(connection, row)
        place(ids)
        done = {"status": "completed", "error": None, "run_id": ids[runs[0].key]}
        connection.execute(sa.update(sweep_trial).where(mine).values(done))
    return ids


def _insert(
    connection: sa.Connection, one: BundledRun, *, ids: Mapping[int, int], sweep_id: int, before: int | None
) -> int:
    """The run's row, still running: of the trial itself that which it has, unless an earlier try left rows."""
    values: dict[str, Any] = {
        "name": one.name,
        "description": one.description,
        "training_mode": one.training_mode,
        "config": one.config,
        "seed": one.seed,
    }
    started = {"status": "running", "started": one.started, "ended": None, "error": None, "stop_reason": None}
    if one.parent is None and before is not None and _is_empty(connection, before):
        run_id = before
    else:
        parent_id = sweep_id if one.parent is None else ids[one.parent]
        run_id = insert_run(connection, parent_id=parent_id, status="running", **values)
    connection.execute(sa.update(run).where(run.c.id == run_id).values(**values, **started))
    return run_id


def _is_empty(connection: sa.Connection, run_id: int) -> bool:
    below = sa.select(run.c.id).where(run.c.parent_id == run_id).limit(1)
    measured = sa.select(run_metrics.c.id).where(run_metrics.c.run_id == run_id).limit(1)
    return connection.execute(below).first() is None and connection.execute(measured).first() is None
