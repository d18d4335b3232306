"""`Overview`: what a list of runs shows, in few queries for many runs; `queries` adds what one run shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from shared.tracking.database import Database
from shared.tracking.rows import RunRow
from shared.tracking.schema import round_, run, run_metrics

LARGEST_ID = 2**31 - 1  # of an INTEGER column of PostgreSQL


@dataclass(frozen=True, slots=True)
class Marks:
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


@dataclass(frozen=True, slots=True)
class Curve:
    """Which aggregate values `Overview.curves` reads of a run.

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


def or_minus_one(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A column as the index of unique metrics holds it, so that a condition on it can use that index."""
    return sa.func.coalesce(column, sa.literal_column("-1"))


at_round, at_epoch = or_minus_one(run_metrics.c.round), or_minus_one(run_metrics.c.epoch)
of_nobody = or_minus_one(run_metrics.c.client_id) == sa.literal_column("-1")


class Overview:
    """Finds runs, and reads the little of each that a list shows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def kind(self) -> Literal["sqlite", "postgresql"]:
        """Which database it is."""
        return "sqlite" if self._database.is_sqlite else "postgresql"

    def search(
        self,
        *,
        text: str = "",
        mode: str | None = None,
        status: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[RunRow]:
        """Runs that a user looks for, newest first.

        Parameters
        ----------
        text : str
            Each word must be in the name, the description, or the names of the data and the model, in any case,
            or be the id.
        before : int, optional
            Only runs with a smaller id: the last one of the page before.
        """
        query = sa.select(run).order_by(run.c.id.desc()).limit(limit)
        wanted = ((run.c.training_mode, mode), (run.c.status, status))
        query = query.where(*(column == value for column, value in wanted if value is not None))
        if before is not None:
            query = query.where(run.c.id < min(before, LARGEST_ID))
        words = text.replace("\0", " ").split()
        query = query.where(*(_mentions(word, is_sqlite=self._database.is_sqlite) for word in words))
        return [RunRow(**row._mapping) for row in self._select(query)]

    def marks(self, run_ids: Sequence[int]) -> dict[int, Marks]:
        """How far runs have come: each answer is one step into an index, however many metrics a run has."""
        mine = run_metrics.c.run_id == run.c.id
        no_round = of_nobody & (at_round == sa.literal_column("-1"))
        query = sa.select(
            run.c.id,
            _first(sa.select(at_round).where(mine).order_by(at_round.desc())),
            _first(sa.select(at_epoch).where(mine, no_round).order_by(at_epoch.desc())),
            _first(sa.select(sa.func.max(round_.c.round)).where(round_.c.run_id == run.c.id)),
            _first(sa.select(run_metrics.c.time).where(mine).order_by(run_metrics.c.id.desc())),
        ).where(run.c.id.in_(run_ids))
        marks = {}
        for run_id, last_round, last_epoch, done_round, time in self._select(query):
            marks[run_id] = Marks(_known(last_round), _known(last_epoch), done_round, time)
        return marks

    def curves(self, wanted: Sequence[Curve]) -> dict[int, list[float]]:
        """Values of one metric of the whole model, of many runs at once, by round or epoch.

        Parameters
        ----------
        wanted : sequence of Curve
            At most one a run.

        Returns
        -------
        dict of int to list of float
            By run; steps without a value, or with NaN, are left out.
        """
        values: dict[int, list[float]] = {curve.run_id: [] for curve in wanted}
        if wanted:
            for run_id, value in self._select(_lookup(wanted)):
                if not math.isnan(value):
                    values[run_id].append(value)
        return values

    def _select(self, query: sa.Select[Any]) -> list[Any]:
        with self._database.read() as connection:
            return list(connection.execute(query))


def _mentions(word: str, *, is_sqlite: bool) -> sa.ColumnElement[bool]:
    names: list[sa.ColumnElement[str]] = []
    for section in ("data", "model"):
        name = run.c.config[section]["name"].as_string()
        # PostgreSQL reads nothing out of JSON that holds NUL or half a surrogate anywhere, such as in a path.
        readable = ~sa.cast(run.c.config, sa.Text).regexp_match(r"\\u(0000|d[89a-f])")
        names.append(name if is_sqlite else sa.case((readable, name)))
    found = [column.icontains(word, autoescape=True) for column in (run.c.name, run.c.description, *names)]
    if word.isascii() and word.isdigit() and int(word) <= LARGEST_ID:
        found.append(run.c.id == int(word))
    return sa.or_(*found)


def _first(query: sa.Select[Any]) -> sa.ScalarSelect[Any]:
    return query.limit(1).correlate(run).scalar_subquery()


def _known(step: int | None) -> int | None:
    return None if step in (None, -1) else step


def _lookup(wanted: Sequence[Curve]) -> sa.Select[Any]:
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
            of_nobody,
            at_epoch == sa.case((step.c.by_round == 1, -1), else_=at),
            run_metrics.c.stage == step.c.stage,
            run_metrics.c.name == step.c.name,
        )
        .correlate(step)
        .scalar_subquery()
    )
    return sa.select(step.c.run_id, value).order_by(step.c.run_id, at)
