"""`end_run`: the row of a run that ends, with its best values; one that completes is registered."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from shared.runtime.errors import shortened
from shared.tracking.best_values import best_values
from shared.tracking.digests import digested, keep_digest
from shared.tracking.registration import register_run
from shared.tracking.rows import FINISHED, INTERRUPTED
from shared.tracking.schema import run


def end_run(
    connection: sa.Connection,
    run_id: int,
    *,
    status: str,
    ended: datetime,
    error: str | None = None,
    stop_reason: str | None = None,
    known_better: bool = False,
) -> int:
    """End a run, in a transaction in which its row is locked; one that has ended stays as it is.

    Parameters
    ----------
    known_better : bool
        Whether it is also ended that was taken for interrupted, as its process was gone.

    Returns
    -------
    int
        1, or 0 where it had ended.
    """
    found = connection.execute(
        sa.select(run.c.status, run.c.stop_reason, run.c.summary).where(run.c.id == run_id)
    ).one()
    if found.status in FINISHED and not (known_better and found.stop_reason == INTERRUPTED):
        return 0
    if digested(connection, run_id):
        keep_digest(connection, run_id)
    values = {
        "status": status,
        "ended": ended,
        "error": None if error is None else shortened(error),
        "stop_reason": stop_reason,
        "summary": {**found.summary, "best": best_values(connection, run_id)},
    }
    connection.execute(sa.update(run).where(run.c.id == run_id).values(values))
    if status == "completed":
        register_run(connection, run_id)
    return 1
