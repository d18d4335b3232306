"""`Queries`: everything that is read from the tracking database; `store` adds what is written."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from shared.metrics.catalogue import spec_of
from shared.metrics.spec import Mode
from shared.runtime.errors import TrackingError
from shared.tracking.points import AGGREGATE, Points
from shared.tracking.rows import ClientRow, MetricRow, RoundRow, RunRow, ServerEvaluationRow
from shared.tracking.schema import client, round_, run, run_metrics, server_evaluation


class Queries(Points):
    """Reads runs and what belongs to them."""

    def run(self, run_id: int) -> RunRow:
        """One run.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        found = self.find(run_id)
        if found is None:
            raise self._no_run(run_id)
        return found

    def find(self, run_id: int) -> RunRow | None:
        """One run, if there is such a run."""
        rows = self._select(sa.select(run).where(run.c.id == run_id))
        return RunRow(**rows[0]._mapping) if rows else None

    def runs(
        self,
        *,
        mode: str | None = None,
        status: str | None = None,
        stop_reason: str | None = None,
        parent_id: int | None = None,
        limit: int | None = None,
    ) -> list[RunRow]:
        """Runs, newest first."""
        query = sa.select(run).order_by(run.c.id.desc()).limit(limit)
        wanted = (
            (run.c.training_mode, mode),
            (run.c.status, status),
            (run.c.stop_reason, stop_reason),
            (run.c.parent_id, parent_id),
        )
        query = query.where(*(column == value for column, value in wanted if value is not None))
        return [RunRow(**row._mapping) for row in self._select(query)]

    def children(self, run_id: int) -> list[RunRow]:
        """Runs whose parent is this one, oldest first."""
        return self.runs(parent_id=run_id)[::-1]

    def metrics(self, run_id: int, *, after: int = 0, limit: int | None = None) -> list[MetricRow]:
        """Values of a run in the order in which they were stored.

        A reader that passes the last id it saw as ``after`` misses nothing and sees nothing twice.

        Parameters
        ----------
        after : int
            Only rows whose id is greater.
        """
        query = sa.select(run_metrics).where(run_metrics.c.run_id == run_id, run_metrics.c.id > after)
        return [MetricRow(*row) for row in self._select(query.order_by(run_metrics.c.id).limit(limit))]

    def cursor(self, run_id: int) -> int:
        """The id of a run's newest value.

        Returns
        -------
        int
            0 if it has none.
        """
        newest = sa.select(sa.func.max(run_metrics.c.id)).where(run_metrics.c.run_id == run_id)
        ((found,),) = self._select(newest)
        return found or 0

    def latest(self, run_id: int) -> list[MetricRow]:
        """The last value of each metric, of each client and of the aggregate.

        Returns
        -------
        list of MetricRow
            In the order in which they were stored.
        """
        mine = run_metrics.c.run_id == run_id
        last = (
            sa.select(sa.func.max(run_metrics.c.id))
            .where(mine)
            .group_by(run_metrics.c.client_id, run_metrics.c.stage, run_metrics.c.name)
        )
        query = sa.select(run_metrics).where(mine, run_metrics.c.id.in_(last)).order_by(run_metrics.c.id)
        return [MetricRow(*row) for row in self._select(query)]

    def best_values(self, run_id: int) -> dict[str, float]:
        """The best validation value of each metric of the whole model whose better direction is known.

        Returns
        -------
        dict
            Such as ``{"accuracy": 0.97, "loss": 0.11}``; without metrics that were never defined.
        """
        with self._database.read() as connection:
            return best_values(connection, run_id)

    def server_evaluations(self, run_id: int, *, since: int = 0) -> list[ServerEvaluationRow]:
        """Evaluations of the global model on the server's data, by round.

        Parameters
        ----------
        since : int
            The first round that is wanted.
        """
        rows = []
        for row in self._of_run(server_evaluation, run_id, by="round", since=since):
            row["metrics"] = {name: float(value) for name, value in row["metrics"].items()}
            rows.append(ServerEvaluationRow(**row))
        return rows

    def rounds(self, run_id: int, *, since: int = 0) -> list[RoundRow]:
        """Server rounds, by number.

        Parameters
        ----------
        since : int
            The first round that is wanted.
        """
        rows = []
        for row in self._of_run(round_, run_id, by="round", since=since):
            row["failed"] = {int(client_id): reason for client_id, reason in row["failed"].items()}
            rows.append(RoundRow(**row))
        return rows

    def clients(self, run_id: int) -> list[ClientRow]:
        """Participants, by client id."""
        return [ClientRow(**row) for row in self._of_run(client, run_id, by="client_id")]

    def _of_run(self, table: sa.Table, run_id: int, *, by: str, since: int = 0) -> list[dict[str, Any]]:
        query = sa.select(table).where(table.c.run_id == run_id, table.c[by] >= since).order_by(table.c[by])
        return [dict(row._mapping) for row in self._select(query)]

    def _no_run(self, run_id: int) -> TrackingError:
        return TrackingError(
            f"there is no run {run_id} in {self._database.shown}; `fedtwin runs` lists those that are"
        )


def best_values(connection: sa.Connection, run_id: int) -> dict[str, float]:
    """See `Queries.best_values`."""
    name, value = run_metrics.c.name, run_metrics.c.value
    query = (
        sa.select(name, sa.func.min(value), sa.func.max(value))
        .where(run_metrics.c.run_id == run_id, run_metrics.c.stage == "val", AGGREGATE, value.is_not(None))
        .group_by(name)
        .order_by(name)
    )
    extremes = {metric: (low, high) for metric, low, high in connection.execute(query)}
    modes = {metric: spec_of(metric).mode for metric in extremes} | _monitored_mode(connection, run_id)
    return {
        metric: low if modes[metric] == "min" else high
        for metric, (low, high) in extremes.items()
        if modes[metric] is not None
    }


def _monitored_mode(connection: sa.Connection, run_id: int) -> dict[str, Mode | None]:
    # Only the run's own settings know the direction of a metric that is not in the catalogue.
    config = connection.execute(sa.select(run.c.config).where(run.c.id == run_id)).scalar() or {}
    trainer = config.get("trainer") or {}
    stage, _, name = str(trainer.get("monitor") or "").partition("/")
    own: bool = stage == "val" and trainer.get("mode") in ("min", "max")
    return {name: trainer["mode"]} if own and spec_of(name).mode is None else {}
