"""`Series`: metrics as plain values, for charts; `Metrics` reads the same as rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from shared.tracking.curves import Curve, curve_query
from shared.tracking.database import Database
from shared.tracking.schema import of_whole_model, run_metrics

Unit = Literal["round", "epoch"]
RawTime = str | datetime  # as the driver gives it; `milliseconds` reads it
Point = tuple[int | None, int | None, int | None, str, str, float | None, int | None, RawTime]


@dataclass(frozen=True, slots=True)
class ManyPoints:
    """Values as the database holds them.

    Attributes
    ----------
    cursor : int
        Values of the run that are stored later have greater ids.
    rows : sequence of tuple
        Client, round, epoch, stage, name, value (None: NaN), examples and time (see `milliseconds`); unordered.
    """

    cursor: int
    rows: Sequence[Point]


class Series:
    """Reads what charts show."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def points(
        self, run_id: int, *, stage: str | None = None, name: str | None = None, clients: bool = True
    ) -> ManyPoints:
        """Many values of a run: ten times as fast as `Metrics.of_run`.

        Parameters
        ----------
        stage, name : str, optional
            Only these.
        clients : bool
            Whether those of the clients are wanted too.
        """
        mine = run_metrics.c.run_id == run_id
        wanted = ((run_metrics.c.stage, stage), (run_metrics.c.name, name))
        conditions = [column == value for column, value in wanted if value is not None]
        time = run_metrics.c.time
        columns = (
            run_metrics.c.client_id,
            run_metrics.c.round,
            run_metrics.c.epoch,
            run_metrics.c.stage,
            run_metrics.c.name,
            # The drivers' own values: most are dropped before anybody looks at them.
            sa.type_coerce(run_metrics.c.value, sa.Double),
            run_metrics.c.num_examples,
            sa.type_coerce(time, sa.String) if self._database.is_sqlite else time,
        )
        with self._database.read() as connection:
            cursor = connection.scalar(sa.select(sa.func.max(run_metrics.c.id)).where(mine)) or 0
            query = sa.select(*columns).where(mine, run_metrics.c.id <= cursor, *conditions)
            if not clients:
                query = query.where(of_whole_model)
            # Plain tuples: a million of SQLAlchemy's rows would keep the garbage collector busy.
            rows: list[Any] = list(map(tuple, connection.execute(query)))
        return ManyPoints(cursor=cursor, rows=rows)

    def examples_by_step(self, run_id: int, *, unit: Unit) -> dict[int, int]:
        """How many training examples went through the model in each step.

        Parameters
        ----------
        unit : {"round", "epoch"}
            Rounds of all clients together, or epochs.
        """
        step = run_metrics.c[unit]
        of_whom = run_metrics.c.client_id.is_not(None) if unit == "round" else of_whole_model
        # Whatever metrics an epoch has, its rows count once.
        epochs = (
            sa.select(step.label("step"), sa.func.max(run_metrics.c.num_examples).label("examples"))
            .where(run_metrics.c.run_id == run_id, run_metrics.c.stage == "train", of_whom, step.is_not(None))
            .group_by(step, run_metrics.c.client_id, run_metrics.c.epoch)
            .subquery()
        )
        query = sa.select(epochs.c.step, sa.func.sum(epochs.c.examples)).group_by(epochs.c.step)
        return {number: int(examples or 0) for number, examples in self._database.select(query)}

    def times_by_step(self, run_id: int, *, unit: Unit) -> dict[int, datetime]:
        """When the last value of the whole model was stored in each step.

        Parameters
        ----------
        unit : {"round", "epoch"}
        """
        step, newest = run_metrics.c[unit], sa.func.max(run_metrics.c.time)
        query = sa.select(step, newest).where(run_metrics.c.run_id == run_id, of_whole_model, step.is_not(None))
        return dict(map(tuple, self._database.select(query.group_by(step))))

    def metric_names(self, run_id: int, *, stage: str, unit: Unit) -> list[str]:
        """Which metrics of the whole model have a value at some step.

        Parameters
        ----------
        stage : {"train", "val", "test"}
        unit : {"round", "epoch"}

        Returns
        -------
        list of str
            Sorted.
        """
        mine = (run_metrics.c.run_id == run_id) & (run_metrics.c.stage == stage)
        query = sa.select(run_metrics.c.name).where(mine, of_whole_model, run_metrics.c[unit].is_not(None))
        return sorted(name for (name,) in self._database.select(query.distinct()))

    def curves(self, wanted: Sequence[Curve]) -> dict[int, list[float]]:
        """Values of one metric of the whole model, of many runs at once, by round or epoch.

        Parameters
        ----------
        wanted : sequence of Curve
            At most one a run.

        Returns
        -------
        dict of int to list of float
            By run; without steps that have no value or NaN.
        """
        values: dict[int, list[float]] = {curve.run_id: [] for curve in wanted}
        if wanted:
            for run_id, value in self._database.select(curve_query(wanted)):
                if not math.isnan(value):
                    values[run_id].append(value)
        return values


def milliseconds(time: RawTime) -> int:
    """A time that `Series.points` read.

    Parameters
    ----------
    time : str or datetime
        Text is UTC.

    Returns
    -------
    int
        Since 1970.
    """
    known = datetime.fromisoformat(time).replace(tzinfo=UTC) if isinstance(time, str) else time
    return round(known.timestamp() * 1000)
