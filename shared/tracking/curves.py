"""Queries for the values of the whole model, which never read the rows of clients, which are most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from shared.tracking.schema import at_epoch, at_round, no_client, run_metrics


@dataclass(frozen=True, slots=True)
class Curve:
    """Which aggregate values `Series.curves` reads of a run.

    Attributes
    ----------
    unit : {"round", "epoch"}
    last : int
        The highest round or epoch.
    stride : int
        1 reads every round or epoch, 2 every other one; the last one is always read.
    """

    run_id: int
    unit: Literal["round", "epoch"]
    stage: str
    name: str
    last: int
    stride: int = 1


def curve_query(wanted: Sequence[Curve]) -> sa.Select[Any]:
    """See `Series.curves`."""
    # One look into the unique index for each step: the rows of the clients, which are most, are never read.
    columns: list[sa.ColumnClause[Any]] = [
        *(sa.column(name, sa.Integer) for name in ("run_id", "by_round", "last", "stride")),
        *(sa.column(name, sa.String) for name in ("stage", "name")),
    ]
    rows = [(c.run_id, int(c.unit == "round"), c.last, c.stride, c.stage, c.name) for c in wanted]
    start = sa.values(*columns, name="wanted").data(rows).cte("wanted")
    step = sa.select(*start.c, sa.literal(0).label("step")).cte("steps", recursive=True)
    after = step.c.step + step.c.stride
    after = sa.case((after > step.c.last, step.c.last), else_=after)
    others = [column for column in step.c if column.name != "step"]
    step = step.union_all(sa.select(*others, after).where(step.c.step < step.c.last))
    at = step.c.step
    value = (
        sa.select(run_metrics.c.value)
        .where(
            run_metrics.c.run_id == step.c.run_id,
            at_round == sa.case((step.c.by_round == 1, at), else_=-1),
            no_client,
            at_epoch == sa.case((step.c.by_round == 1, -1), else_=at),
            run_metrics.c.stage == step.c.stage,
            run_metrics.c.name == step.c.name,
        )
        .correlate(step)
        .scalar_subquery()
    )
    return sa.select(step.c.run_id, value).order_by(step.c.run_id, at)


def whole_model_query(run_id: int, *columns: sa.ColumnElement[Any], after: int = 0) -> sa.Select[Any]:
    """Columns of the values of the whole model of a run, in no order.

    Parameters
    ----------
    after : int
        Only rows whose id is greater; with one, there should be few.
    """
    if after:
        newer = (run_metrics.c.run_id == run_id) & (run_metrics.c.id > after)
        return sa.select(*columns).where(newer, run_metrics.c.client_id.is_(None))
    # From each round to the next one by the unique index, in which the aggregate stands before the clients. The
    # run is a column of the rounds, or SQLite would read all rows of the run and then look for their rounds.
    start = sa.select(sa.literal(run_id, sa.Integer).label("run_id"), sa.literal(-1, sa.Integer).label("round"))
    rounds = start.cte("rounds", recursive=True)
    mine, given = run_metrics.c.run_id == rounds.c.run_id, rounds.c.round.is_not(None)
    following = sa.select(at_round).where(mine, at_round > rounds.c.round).order_by(at_round).limit(1)
    rounds = rounds.union_all(
        sa.select(rounds.c.run_id, following.correlate(rounds).scalar_subquery()).where(given)
    )
    here = (run_metrics.c.run_id == rounds.c.run_id) & (at_round == rounds.c.round) & no_client
    return sa.select(*columns).select_from(rounds).join(run_metrics, here)
