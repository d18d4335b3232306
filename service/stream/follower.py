"""What is new in the store since the last look, as messages: of one run, or of all; `channel` asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from service.read import summaries as views
from service.stream.encode import ending, rows_to_messages, run_status, training_mode
from service.stream.messages import Message
from shared.tracking.rows import ClientRow, MetricRow, RoundRow, RunRow, ServerEvaluationRow
from shared.tracking.store import Store

ROWS_A_READ = 2000
LISTED_RUNS = 50

OfRound = TypeVar("OfRound", RoundRow, ServerEvaluationRow)


@dataclass(frozen=True)
class _Seen:
    run: RunRow
    cursor: int
    end_told: bool
    clients: list[ClientRow]
    rounds: list[RoundRow]  # the last one
    evaluations: list[ServerEvaluationRow]


class RunFollower:
    """Follows one run, from its newest row on; for one thread at a time.

    Raises
    ------
    TrackingError
        There is no such run, or the database cannot be used.
    """

    def __init__(self, store: Store, run_id: int) -> None:
        self._store = store
        run = store.runs.get(run_id)
        self._federated = run.training_mode == "federated"
        self._seen = _Seen(
            run=run,
            cursor=store.metrics.cursor(run_id),
            end_told=run.finished,
            clients=store.clients.of_run(run_id),
            rounds=store.rounds.of_run(run_id)[-1:],
            evaluations=store.evaluations.of_run(run_id)[-1:],
        )

    def read(self) -> list[Message]:
        """What has come since the last call.

        Returns
        -------
        list of Message
            Of at most ``ROWS_A_READ`` rows; empty when nothing is left. Nothing is lost if it raises.

        Raises
        ------
        TrackingError
        """
        seen, store = self._seen, self._store
        # The run first: if it has ended, then all its rows are there.
        run = store.runs.get(seen.run.id)
        rows = store.metrics.of_run(run.id, after=seen.cursor, limit=ROWS_A_READ)
        rounds, evaluations, clients = seen.rounds, seen.evaluations, seen.clients
        changed = run != seen.run
        if self._federated:
            # Rounds that a resumed run does anew replace old ones.
            resumed = seen.run.finished and not run.finished
            rounds = store.rounds.of_run(run.id, since=0 if resumed else _last(rounds))
            evaluations = store.evaluations.of_run(run.id, since=0 if resumed else _last(evaluations))
            if changed or _new(rounds, seen.rounds) or not _known(rows, clients):
                clients = store.clients.of_run(run.id)

        messages = rows_to_messages(
            rows,
            run_id=run.id,
            federated=self._federated,
            rounds=_new(rounds, seen.rounds),
            evaluations=_new(evaluations, seen.evaluations),
        )
        ends = run.finished and not seen.end_told
        if ends and len(rows) < ROWS_A_READ:
            messages += ending(views.run_summary(store, run))
        elif not ends and (changed or clients != seen.clients):
            messages.insert(0, training_mode(views.run_summary(store, run), map(views.client, clients)))
        self._seen = _Seen(
            run=run,
            cursor=rows[-1].id if rows else seen.cursor,
            end_told=run.finished and (seen.end_told or len(rows) < ROWS_A_READ),
            clients=clients,
            rounds=rounds[-1:],
            evaluations=evaluations[-1:],
        )
        return messages


class RunsFollower:
    """Follows how runs stand: the newest ones, and all that are not finished; for one thread at a time.

    Raises
    ------
    TrackingError
        The database cannot be used.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, dict[str, Any]] = {}
        self.read()

    def read(self) -> list[Message]:
        """The runs that have changed since the last call.

        Returns
        -------
        list of Message
            The oldest run first.

        Raises
        ------
        TrackingError
        """
        runs = listed_runs(self._store)
        here = {run.id for run in runs}
        # Running, when it was seen last, and too old to be listed now that it has ended.
        ended = [run_id for run_id, known in self._known.items() if not known["ended"] and run_id not in here]
        runs = [*map(self._store.runs.get, ended), *runs]
        summaries = {summary["id"]: summary for summary in views.run_summaries(self._store, runs)}
        changed = [
            run_id for run_id in sorted(summaries) if _lasting(summaries[run_id]) != self._known.get(run_id)
        ]
        self._known = {run_id: _lasting(summaries[run_id]) for run_id in here}
        return [run_status(summaries[run_id]) for run_id in changed]


def listed_runs(store: Store) -> list[RunRow]:
    """The newest runs, and those that are not finished.

    Returns
    -------
    list of RunRow
        By id.

    Raises
    ------
    TrackingError
    """
    groups = (
        store.runs.search(status="pending"),
        store.runs.search(status="running"),
        store.runs.search(limit=LISTED_RUNS),
    )
    runs = {run.id: run for group in groups for run in group}
    return [runs[run_id] for run_id in sorted(runs)]


def _lasting(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key != "seconds"}


def _last(rows: list[OfRound]) -> int:
    return rows[-1].round if rows else 0


def _new(rows: list[OfRound], seen: list[OfRound]) -> list[OfRound]:
    before = set(map(repr, seen))  # as text, NaN is equal to itself
    return [row for row in rows if repr(row) not in before]


def _known(rows: list[MetricRow], clients: list[ClientRow]) -> bool:
    known = {client.client_id for client in clients}
    return bool(known) and known.issuperset(row.client_id for row in rows if row.client_id is not None)
