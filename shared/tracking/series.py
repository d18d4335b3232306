"""`Series`: metrics as plain values, for charts; `Metrics` reads the same as rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.curves import Curve, curve_query, whole_model_query
from shared.tracking.database import Database
from shared.tracking.digests import (
    LATE,
    count_since,
    digested,
    keep_digest,
    point_columns,
    read_digests,
    read_points,
)
from shared.tracking.schema import NO_ROUND, at_client, at_epoch, at_round, no_client, run, run_metrics
from shared.tracking.transaction import lock_run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shared.tracking.points import Points

Unit = Literal["round", "epoch"]
Point = tuple[int | None, int | None, float | None, int | None]
BEGAN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Curves:
    """All curves of a run.

    Attributes
    ----------
    cursor : int
        Values of the run that are stored later have greater ids.
    points : Points
        Of a long run those of its digests: the extremes of each stretch of each curve.
    """

    cursor: int
    points: Points


@dataclass(frozen=True, slots=True)
class Step:
    """A round of all clients together, or an epoch.

    Attributes
    ----------
    examples : int
        Training examples that went through the model.
    time : datetime or None
        When the last value of the whole model was stored.
    """

    examples: int
    time: datetime | None


class Series:
    """Reads what charts show."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all_curves(self, run_id: int) -> Curves:
        """The curves of a run, clients' too: exact where there are few values, else their digests and the rest.

        Raises
        ------
        TrackingError
            The database cannot be used.
        """
        from shared.tracking.points import Points

        parts, _, cursor = self._read(run_id)
        return Curves(cursor=cursor, points=Points.joined(parts))

    def steps(self, run_id: int) -> dict[int, Step]:
        """What was trained in each round or epoch, ascending."""
        from shared.tracking.points import summed_steps

        _, parts, _ = self._read(run_id)
        found = summed_steps(parts)
        times = [None if time < 0 else BEGAN + timedelta(microseconds=time) for time in found["time"].tolist()]
        steps = zip(found["step"].tolist(), found["examples"].tolist(), times, strict=True)
        return {number: Step(examples=examples, time=time) for number, examples, time in steps}

    def _read(self, run_id: int) -> tuple[list[Points], list[NDArray[np.void]], int]:
        from shared.tracking.points import steps_of

        self._keep_up(run_id)
        with self._database.read() as connection:
            federated = self._is_federated(connection, run_id)
            points, steps, cursor = read_digests(connection, run_id)
            rest = read_points(connection, run_id, federated=federated, after=cursor)
        if len(rest.rows):
            cursor = int(rest.rows["id"][-1])
        return [*points, rest], [*steps, steps_of(rest, federated=federated)], cursor

    def _keep_up(self, run_id: int) -> None:
        # The writer of a long run keeps its digests, unless it is of an older version.
        with self._database.read() as connection:
            if count_since(connection, run_id, after=digested(connection, run_id), most=LATE) < LATE:
                return
        try:
            with self._database.write() as connection:
                lock_run(self._database, connection, run_id)
                keep_digest(connection, run_id)
        except TrackingError:
            return  # a database that can only be read; all rows are read then

    def curve(self, run_id: int, *, stage: str, name: str) -> tuple[list[Point], int]:
        """The values of one metric of the whole model, and how many are stored.

        Returns
        -------
        list of tuple
            Round, epoch, value (None: NaN) and examples; unordered. Of a long run only those that its digests
            hold: the extremes of each stretch.
        int
            More than the list has, of a long run.
        """
        self._keep_up(run_id)
        columns = run_metrics.c
        value = sa.type_coerce(columns.value, sa.Double)
        with self._database.read() as connection:
            if digested(connection, run_id):
                return self._digested_curve(connection, run_id, stage=stage, name=name)
            query = whole_model_query(run_id, columns.round, columns.epoch, value, columns.num_examples)
            rows = connection.execute(query.where(columns.stage == stage, columns.name == name)).all()
        return list(map(tuple, rows)), len(rows)

    def _digested_curve(
        self, connection: sa.Connection, run_id: int, *, stage: str, name: str
    ) -> tuple[list[Point], int]:
        from shared.tracking.points import NONE, Points

        parts, _, cursor = read_digests(connection, run_id)
        federated = self._is_federated(connection, run_id)
        newer = whole_model_query(run_id, *point_columns(connection, federated=federated), after=cursor)
        newer = newer.where(run_metrics.c.stage == stage, run_metrics.c.name == name)
        parts.append(Points.of(connection.execute(newer.order_by(run_metrics.c.id)).all()))
        mine = [part.of_whole_model(stage, name) for part in parts]
        rows, _, totals = Points.joined(mine).curves()
        points: list[Point] = []
        for step, value, examples in zip(
            *(rows[key].tolist() for key in ("step", "value", "examples")), strict=True
        ):
            at = (step, None) if federated else (None, step)
            points.append((*at, None if math.isnan(value) else value, None if examples == NONE else examples))
        return points, int(totals.sum())

    def value_at(
        self, run_id: int, *, unit: Unit, step: int, stage: str, name: str, client_id: int | None = None
    ) -> float | None:
        """One value, of a client or of the whole model.

        Returns
        -------
        float or None
            None where there is none, or NaN.
        """
        columns = run_metrics.c
        whose = no_client if client_id is None else at_client == client_id
        at = (at_round == step,) if unit == "round" else (at_round == NO_ROUND, at_epoch == step)
        query = sa.select(sa.type_coerce(columns.value, sa.Double)).where(
            columns.run_id == run_id, *at, whose, columns.stage == stage, columns.name == name
        )
        found = self._database.select(query.order_by(columns.id).limit(1))
        return found[0][0] if found else None

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
        self._keep_up(run_id)
        with self._database.read() as connection:
            names, after = self._digested_names(connection, run_id, stage=stage)
            query = whole_model_query(run_id, run_metrics.c.name, after=after).where(
                run_metrics.c.stage == stage, run_metrics.c[unit].is_not(None)
            )
            return sorted(names | {name for (name,) in connection.execute(query.distinct())})

    def _digested_names(self, connection: sa.Connection, run_id: int, *, stage: str) -> tuple[set[str], int]:
        if not digested(connection, run_id):
            return set(), 0
        from shared.tracking.points import NONE

        parts, _, cursor = read_digests(connection, run_id)
        names = set()
        for part in parts:
            drawn = part.rows[(part.rows["client"] == NONE) & (part.rows["step"] != NONE)]
            names |= {part.keys[key][1] for key in set(drawn["key"].tolist()) if part.keys[key][0] == stage}
        return names, cursor

    def _is_federated(self, connection: sa.Connection, run_id: int) -> bool:
        mode = connection.scalar(sa.select(run.c.training_mode).where(run.c.id == run_id))
        return bool(mode == "federated")

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
