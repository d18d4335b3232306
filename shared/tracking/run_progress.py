"""`RunProgress`: how far runs have come, read for many runs in one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from shared.tracking.database import Database
from shared.tracking.schema import at_epoch, at_round, no_client, round_, run, run_metrics


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run has come.

    Attributes
    ----------
    last_round, last_epoch : int or None
        The highest one with a metric; an epoch only where there are no rounds.
    done_round : int or None
        The last round that ended.
    last_event : datetime or None
        Time of the newest metric.
    """

    last_round: int | None
    last_epoch: int | None
    done_round: int | None
    last_event: datetime | None


def read_progress(database: Database, run_ids: Sequence[int]) -> dict[int, RunProgress]:
    """See `Runs.progress`."""
    mine = run_metrics.c.run_id == run.c.id
    no_round = no_client & (at_round == sa.literal_column("-1"))
    query = sa.select(
        run.c.id,
        _first(sa.select(at_round).where(mine).order_by(at_round.desc())),
        _first(sa.select(at_epoch).where(mine, no_round).order_by(at_epoch.desc())),
        _first(sa.select(sa.func.max(round_.c.round)).where(round_.c.run_id == run.c.id)),
        _first(sa.select(run_metrics.c.time).where(mine).order_by(run_metrics.c.id.desc())),
    ).where(run.c.id.in_(run_ids))
    progress = {}
    for run_id, last_round, last_epoch, done_round, time in database.select(query):
        progress[run_id] = RunProgress(_known(last_round), _known(last_epoch), done_round, time)
    return progress


def _first(query: sa.Select[Any]) -> sa.ScalarSelect[Any]:
    return query.limit(1).correlate(run).scalar_subquery()


def _known(step: int | None) -> int | None:
    return None if step in (None, -1) else step
