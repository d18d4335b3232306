"""`Recorder`: stores what is measured during a run; `store` adds how runs begin and end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.tracking.change_feed import CHANNEL
from shared.tracking.queries import Queries
from shared.tracking.rows import ClientLike
from shared.tracking.schema import client, round_, run, run_metrics, server_evaluation

if TYPE_CHECKING:  # the database needs no Lightning
    from shared.metrics.point import MetricPoint, MetricSink

POINT_COLUMNS = tuple(column for column in run_metrics.c if column.name not in ("id", "run_id"))
ROWS_A_STATEMENT = 100  # of 9 values; old builds of SQLite take 999


class Recorder(Queries):
    """Adds metrics, rounds, clients and evaluations; when a method returns, its rows are on disk."""

    def add_metrics(self, run_id: int, points: Sequence[MetricPoint]) -> int:
        """Store values in one transaction; a value that is there already stays as it is.

        Parameters
        ----------
        points : sequence of MetricPoint
            One value for each client, round, epoch, stage and name.

        Returns
        -------
        int
            How many were new.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        if not points:
            return 0
        with self._database.write() as connection:
            # Ids are the cursor of `metrics`: a run has one writer at a time, so that they appear in order.
            self._lock_run(connection, run_id)
            self._announce(connection, run_id)
            return _insert_points(connection, run_id, points)

    def sink(self, run_id: int) -> MetricSink:
        """Where the points of one run go."""
        return RunSink(self, run_id)

    def add_server_evaluation(
        self,
        run_id: int,
        *,
        round: int,
        loss: float,
        metrics: Mapping[str, float],
        confusion: Sequence[Sequence[int]] | None,
        num_examples: int,
    ) -> None:
        """Store, or replace, the evaluation of the global model after a round.

        Parameters
        ----------
        round : int
            0 is before training.
        metrics : mapping
            Values by name; may be NaN or infinite.
        confusion : sequence of sequence of int, optional
            ``confusion[true][predicted]``; class 1 of two is the positive one.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        matrix = None if confusion is None else [[int(count) for count in row] for row in confusion]
        row: dict[str, Any] = {
            "round": round,
            "loss": loss,
            # JSON has no NaN, and None would not tell it from infinity: `float` reads this text.
            "metrics": {name: repr(float(value)) for name, value in metrics.items()},
            "confusion": matrix,
            "num_examples": num_examples,
        }
        (tn, fp), (fn, tp) = matrix if matrix and len(matrix) == 2 else ((None, None), (None, None))
        row |= {"true_positives": tp, "true_negatives": tn, "false_positives": fp, "false_negatives": fn}
        self._put(server_evaluation, run_id, [row])

    def add_round(
        self,
        run_id: int,
        *,
        round: int,
        began: datetime,
        ended: datetime,
        sampled: Sequence[int],
        replied: Sequence[int],
        failed: Mapping[int, str],
        bytes_down: int,
        bytes_up: int,
        seconds: float,
    ) -> None:
        """Store, or replace, what happened in a server round.

        Parameters
        ----------
        began, ended : datetime
            Aware.
        sampled, replied : sequence of int
            Client ids.
        failed : mapping
            Reasons by client id.
        bytes_down, bytes_up : int
            To and from the clients.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        row = {
            "round": round,
            "began": began,
            "ended": ended,
            "sampled": list(sampled),
            "replied": list(replied),
            "failed": dict(failed),
            "bytes_down": bytes_down,
            "bytes_up": bytes_up,
            "seconds": seconds,
        }
        self._put(round_, run_id, [row])

    def add_clients(self, run_id: int, clients: Sequence[ClientLike]) -> None:
        """Store, or replace, participants.

        Parameters
        ----------
        clients : sequence of ClientRow
            Or of anything with its attributes.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        rows = []
        for one in clients:
            row = {"client_id": one.client_id, "node_id": str(one.node_id), "name": one.name}
            row |= {"num_examples": one.num_examples, "profile": dict(one.profile)}
            rows.append(row)
        self._put(client, run_id, rows)

    def _put(self, table: sa.Table, run_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        insert = self._insert(table)
        keys = [column.name for column in table.primary_key]
        others = {column.name: insert.excluded[column.name] for column in table.c if column.name not in keys}
        statement = insert.on_conflict_do_update(index_elements=keys, set_=others)
        with self._database.write() as connection:
            self._lock_run(connection, run_id)
            self._announce(connection, run_id)
            connection.execute(statement, [{"run_id": run_id, **row} for row in rows])

    def _announce(self, connection: sa.Connection, run_id: int) -> None:
        # Told when the transaction is committed to whoever listens; nobody has to.
        if not self._database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_notify(CHANNEL, str(run_id))))

    def _lock_run(self, connection: sa.Connection, run_id: int) -> Any:
        # SQLite has locked the whole file already; its dialect leaves FOR UPDATE out.
        columns = (run.c.id, run.c.status, run.c.summary)
        query = sa.select(*columns).where(run.c.id == run_id).with_for_update(key_share=True)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise self._no_run(run_id)
        return row

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._database.is_sqlite else postgresql.insert(table)


@dataclass(frozen=True)
class RunSink:
    """The `MetricSink` of one run: points are on disk when `add` returns."""

    store: Recorder
    run_id: int

    def add(self, points: Sequence[MetricPoint]) -> None:
        """Store points."""
        self.store.add_metrics(self.run_id, points)


def _insert_points(connection: sa.Connection, run_id: int, points: Sequence[MetricPoint]) -> int:
    # Many rows a statement, past SQLAlchemy's handling of each parameter: three times as many rows a second.
    dialect = connection.dialect
    values: list[Iterable[Any]] = [repeat(run_id, len(points))]
    for column in POINT_COLUMNS:
        given = map(attrgetter(column.name), points)
        to_database = column.type.dialect_impl(dialect).bind_processor(dialect)
        values.append(given if to_database is None else map(to_database, given))
    names = ", ".join(("run_id", *(column.name for column in POINT_COLUMNS)))
    mark = "?" if dialect.name == "sqlite" else "%s"
    row = "(" + ", ".join(mark for _ in values) + ")"
    rows, added = zip(*values, strict=True), 0
    while batch := list(islice(rows, ROWS_A_STATEMENT)):
        every = ", ".join(repeat(row, len(batch)))
        insert = f"INSERT INTO run_metrics ({names}) VALUES {every} ON CONFLICT DO NOTHING"
        added += connection.exec_driver_sql(insert, tuple(chain.from_iterable(batch))).rowcount
    return added
