"""`Trials`: the trials of sweeps: what each computes, how far it is, and which run it became."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.database import Database
from shared.tracking.rows import TRIAL, TrialRow
from shared.tracking.run_life import insert_run
from shared.tracking.schema import TRIAL_STATUSES, run, sweep_trial
from shared.tracking.transaction import change_run


@dataclass(frozen=True)
class NewTrial:
    """A trial that has yet to begin; see `TrialRow`.

    Attributes
    ----------
    config : mapping
        The resolved snapshot, as of a run.
    run_id : int, optional
        A completed run that has computed it already; the trial is completed then.
    """

    settings: Sequence[str]
    seed: int
    config: Mapping[str, Any]
    digest: str
    run_id: int | None = None


class Trials:
    """Stores and reads trials; when a method that writes returns, its row is on disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        trials: Sequence[NewTrial],
        *,
        name: str,
        description: str,
        config: Mapping[str, Any],
        summary: Mapping[str, Any],
        seed: int | None = None,
    ) -> int:
        """Begin a sweep with all its trials, at once or not at all.

        Parameters
        ----------
        config : mapping
            What the snapshots of all trials have in common.
        summary : mapping
            Of the sweep's run.
        seed : int, optional
            Of the sweep's run; that of the first trial, where there is one.

        Returns
        -------
        int
            The id of its run, which is pending.
        """
        with self._database.write() as connection:
            return insert_sweep(
                connection,
                trials,
                name=name,
                description=description,
                config=config,
                summary=summary,
                seed=seed,
            )

    def add(self, sweep_id: int, trials: Sequence[NewTrial], *, search: Mapping[str, Any]) -> list[TrialRow]:
        """Add trials to a sweep under way, after those that it has.

        Parameters
        ----------
        search : mapping
            See `TrialRow`; the same of all.

        Raises
        ------
        TrackingError
            There is no such sweep.
        """
        with change_run(self._database, sweep_id) as (connection, _):
            highest = sa.select(sa.func.max(sweep_trial.c.number)).where(sweep_trial.c.sweep_id == sweep_id)
            first = (connection.execute(highest).scalar() or 0) + 1
            rows = [_new(sweep_id, number, trial) for number, trial in enumerate(trials, start=first)]
            connection.execute(sa.insert(sweep_trial), [{**row, "search": dict(search)} for row in rows])
        return [self.get(sweep_id, row["number"]) for row in rows]

    def set_search(self, sweep_id: int, number: int, search: Mapping[str, Any]) -> None:
        """Keep what a search was told of a trial.

        Raises
        ------
        TrackingError
            There is no such trial.
        """
        with change_run(self._database, sweep_id) as (connection, _):
            self._one(connection, sweep_id, number)
            self._change(connection, sweep_id, number, {"search": dict(search)})

    def begin(self, sweep_id: int, number: int, *, mode: str) -> int:
        """Note that a trial is running, and give its run: a new, pending one unless it has begun before.

        One that is completed stays so: a process that was taken for dead may have trained it to its end.

        Parameters
        ----------
        mode : {"centralized", "federated", "compare"}

        Raises
        ------
        TrackingError
            There is no such trial.
        """
        with change_run(self._database, sweep_id) as (connection, _):
            trial = self._one(connection, sweep_id, number)
            run_id = trial.run_id
            if trial.status == "completed" and run_id is not None:
                return int(run_id)
            if run_id is None:
                run_id = insert_run(
                    connection,
                    name=trial.config["name"],
                    description=trial.config["description"],
                    training_mode=mode,
                    status="pending",
                    config=trial.config,
                    seed=trial.seed,
                    parent_id=sweep_id,
                    summary={TRIAL: {"sweep": sweep_id, "number": number}},
                )
            changes = {"status": "running", "tries": trial.tries + 1, "run_id": run_id, "error": None}
            self._change(connection, sweep_id, number, changes)
        return int(run_id)

    def finish(self, sweep_id: int, number: int, status: str, *, error: str | None = None) -> None:
        """Note how a try of a trial has ended.

        Parameters
        ----------
        status : {"waiting", "completed", "failed", "pruned"}
            Waiting: it was stopped, and goes on when the sweep is resumed.

        Raises
        ------
        TrackingError
            There is no such trial.
        """
        assert status in TRIAL_STATUSES, status
        with change_run(self._database, sweep_id) as (connection, _):
            self._one(connection, sweep_id, number)
            self._change(connection, sweep_id, number, {"status": status, "error": error})

    def reopen(self, sweep_id: int, *, failed: bool = True) -> None:
        """Let all trials wait that are under way or have failed; those whose run is complete are completed.

        Parameters
        ----------
        failed : bool
            Without it those that have failed stay so.

        Raises
        ------
        TrackingError
            There is no such sweep.
        """
        open_ones = ("waiting", "running", *(("failed",) if failed else ()))
        mine = (sweep_trial.c.sweep_id == sweep_id) & sweep_trial.c.status.in_(open_ones)
        done = sweep_trial.c.run_id.in_(sa.select(run.c.id).where(run.c.status == "completed"))
        with change_run(self._database, sweep_id) as (connection, _):
            for which, status in ((mine & done, "completed"), (mine, "waiting")):
                change = sa.update(sweep_trial).where(which).values(status=status, error=None)
                connection.execute(change)

    def get(self, sweep_id: int, number: int) -> TrialRow:
        """One trial.

        Raises
        ------
        TrackingError
            There is no such trial.
        """
        with self._database.read() as connection:
            row = dict(self._one(connection, sweep_id, number)._mapping)
        del row["config"]
        return TrialRow(**row)

    def of_sweep(self, sweep_id: int) -> list[TrialRow]:
        """The trials of a sweep, by number; of a run that is none, none."""
        columns = [column for column in sweep_trial.c if column.name != "config"]
        query = sa.select(*columns).where(sweep_trial.c.sweep_id == sweep_id).order_by(sweep_trial.c.number)
        return [TrialRow(**row._mapping) for row in self._database.select(query)]

    def configs(self, sweep_id: int) -> dict[int, dict[str, Any]]:
        """The resolved snapshots of a sweep's trials by their number, in order."""
        columns = sweep_trial.c.number, sweep_trial.c.config
        query = sa.select(*columns).where(sweep_trial.c.sweep_id == sweep_id).order_by(sweep_trial.c.number)
        return {row.number: row.config for row in self._database.select(query)}

    def config(self, sweep_id: int, number: int) -> dict[str, Any]:
        """The resolved snapshot of one trial.

        Raises
        ------
        TrackingError
            There is no such trial.
        """
        with self._database.read() as connection:
            return dict(self._one(connection, sweep_id, number).config)

    def counts(self, sweep_ids: Sequence[int]) -> dict[int, dict[str, int]]:
        """How many trials of each sweep have each status; those that no trial has are 0."""
        column = sweep_trial.c
        query = sa.select(column.sweep_id, column.status, sa.func.count())
        query = query.where(column.sweep_id.in_(sweep_ids)).group_by(column.sweep_id, column.status)
        found = {sweep_id: dict.fromkeys(TRIAL_STATUSES, 0) for sweep_id in sweep_ids}
        for sweep_id, status, count in self._database.select(query):
            found[sweep_id][status] = count
        return found

    def _one(self, connection: sa.Connection, sweep_id: int, number: int) -> Any:
        key = (sweep_trial.c.sweep_id == sweep_id) & (sweep_trial.c.number == number)
        row = connection.execute(sa.select(sweep_trial).where(key)).one_or_none()
        if row is None:
            raise TrackingError(f"run {sweep_id} in {self._database.shown} has no trial {number}")
        return row

    @staticmethod
    def _change(connection: sa.Connection, sweep_id: int, number: int, changes: Mapping[str, Any]) -> None:
        key = (sweep_trial.c.sweep_id == sweep_id) & (sweep_trial.c.number == number)
        connection.execute(sa.update(sweep_trial).where(key).values(**changes))


def insert_sweep(
    connection: sa.Connection, trials: Sequence[NewTrial], *, seed: int | None, **values: Any
) -> int:
    """Insert a sweep's run and its trials; see `Trials.create`.

    Parameters
    ----------
    **values
        See `insert_run`.
    """
    sweep_id = insert_run(
        connection,
        training_mode="sweep",
        status="pending",
        seed=trials[0].seed if trials else seed or 0,
        parent_id=None,
        **values,
    )
    rows = [_new(sweep_id, number, trial) for number, trial in enumerate(trials, start=1)]
    if rows:
        connection.execute(sa.insert(sweep_trial), rows)
    return sweep_id


def _new(sweep_id: int, number: int, trial: NewTrial) -> dict[str, Any]:
    return {
        "sweep_id": sweep_id,
        "number": number,
        "settings": list(trial.settings),
        "seed": trial.seed,
        "config": trial.config,
        "digest": trial.digest,
        "status": "waiting" if trial.run_id is None else "completed",
        "tries": 0,
        "run_id": trial.run_id,
    }
