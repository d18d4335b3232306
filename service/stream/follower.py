"""Followers: read what is new in the store since the last read, of one run or of all, as messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from service.read import summaries
from service.stream.encode import (
    encode_end,
    encode_rows,
    encode_run_deleted,
    encode_run_status,
    encode_training_mode,
)
from service.stream.messages import Message
from shared.tracking.rows import ClientRow, MetricRow, RoundRow, RunRow, ServerEvaluationRow
from shared.tracking.store import Store

ROWS_PER_READ = 2000
LISTED_RUNS = 50

OfRound = TypeVar("OfRound", RoundRow, ServerEvaluationRow)


@dataclass(frozen=True)
class _Seen:
    run: RunRow
    cursor: int
    end_sent: bool
    clients: list[ClientRow]
    rounds: list[RoundRow]  # the last one
    evaluations: list[ServerEvaluationRow]


class RunFollower:
    """Follows one run, starting after its newest row; not thread-safe.

    Raises
    ------
    TrackingError
        No such run, or the database cannot be used.
    """

    def __init__(self, store: Store, run_id: int) -> None:
        self._store = store
        run = store.runs.get(run_id)
        self._federated = run.training_mode == "federated"
        self._seen = _Seen(
            run=run,
            cursor=store.metrics.cursor(run_id),
            end_sent=run.finished,
            clients=store.clients.of_run(run_id),
            rounds=store.rounds.of_run(run_id)[-1:],
            evaluations=store.evaluations.of_run(run_id)[-1:],
        )

    def read(self) -> list[Message]:
        """Read what is new since the last call.

        Returns
        -------
        list of Message
            Of at most ``ROWS_PER_READ`` rows; empty when nothing is left. If it raises, the next call reads the
            same again.

        Raises
        ------
        TrackingError
        """
        seen, store = self._seen, self._store
        # Read the run first: if it has ended, all its rows are stored.
        run = store.runs.find(seen.run.id)
        if run is None:
            return []  # it was deleted, after its end
        rows = store.metrics.of_run(run.id, after=seen.cursor, limit=ROWS_PER_READ)
        rounds, evaluations, clients = seen.rounds, seen.evaluations, seen.clients
        changed = run != seen.run
        if self._federated:
            # A resumed run repeats rounds; their records replace the old ones.
            resumed = seen.run.finished and not run.finished
            rounds = store.rounds.of_run(run.id, since=0 if resumed else _last(rounds))
            evaluations = store.evaluations.of_run(run.id, since=0 if resumed else _last(evaluations))
            if changed or _new(rounds, seen.rounds) or not _known(rows, clients):
                clients = store.clients.of_run(run.id)

        messages = encode_rows(
            rows,
            run_id=run.id,
            federated=self._federated,
            rounds=_new(rounds, seen.rounds),
            evaluations=_new(evaluations, seen.evaluations),
        )
        ends = run.finished and not seen.end_sent
        if ends and len(rows) < ROWS_PER_READ:
            messages += encode_end(summaries.run_summary(store, run))
        elif not ends and (changed or clients != seen.clients):
            messages.insert(
                0, encode_training_mode(summaries.run_summary(store, run), map(summaries.client, clients))
            )
        self._seen = _Seen(
            run=run,
            cursor=rows[-1].id if rows else seen.cursor,
            end_sent=run.finished and (seen.end_sent or len(rows) < ROWS_PER_READ),
            clients=clients,
            rounds=rounds[-1:],
            evaluations=evaluations[-1:],
        )
        return messages


class RunsFollower:
    """Follows the summaries of the newest runs and of all unfinished ones; not thread-safe.

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
        """Read the summaries that have changed since the last call, and which listed runs were deleted.

        Returns
        -------
        list of Message
            Deleted runs first, then the oldest.

        Raises
        ------
        TrackingError
        """
        runs = listed_runs(self._store)
        here = {run.id for run in runs}
        left = {run_id: self._store.runs.find(run_id) for run_id in self._known if run_id not in here}
        deleted = sorted(run_id for run_id, run in left.items() if run is None)
        # Was running at the last read, has ended since, and is too old to be listed.
        ended = [run for run in left.values() if run is not None and not self._known[run.id]["ended"]]
        runs = [*ended, *runs]
        found = {summary["id"]: summary for summary in summaries.run_summaries(self._store, runs)}
        changed = [
            run_id for run_id in sorted(found) if _without_duration(found[run_id]) != self._known.get(run_id)
        ]
        self._known = {run_id: _without_duration(found[run_id]) for run_id in here}
        return [*map(encode_run_deleted, deleted), *(encode_run_status(found[run_id]) for run_id in changed)]


def listed_runs(store: Store) -> list[RunRow]:
    """The newest runs, and all unfinished ones.

    Returns
    -------
    list of RunRow
        By id.

    Raises
    ------
    TrackingError
    """
    search = store.runs.search
    groups = (search(status="pending"), search(status="running"), search(limit=LISTED_RUNS))
    runs = {run.id: run for group in groups for run in group}
    return [runs[run_id] for run_id in sorted(runs)]


def _without_duration(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key != "seconds"}


def _last(rows: list[OfRound]) -> int:
    return rows[-1].round if rows else 0


def _new(rows: list[OfRound], seen: list[OfRound]) -> list[OfRound]:
    before = set(map(repr, seen))  # as text, NaN is equal to itself
    return [row for row in rows if repr(row) not in before]


def _known(rows: list[MetricRow], clients: list[ClientRow]) -> bool:
    known = {client.client_id for client in clients}
    return bool(known) and known.issuperset(row.client_id for row in rows if row.client_id is not None)
