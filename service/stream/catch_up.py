"""What a viewer has missed who comes at a cursor, read from the store; what comes then is in the `ring`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from service.read import summaries as views
from service.stream.encode import ending, rows_to_messages, run_status, training_mode
from service.stream.follower import ROWS_A_READ, listed_runs
from service.stream.replay_buffer import Entry, Frame, frames
from shared.tracking.rows import RoundRow, ServerEvaluationRow
from shared.tracking.store import Store


@dataclass(frozen=True)
class State:
    """How a run stands.

    Attributes
    ----------
    begin, end : list of Frame
        What is said before its rows and after the last of them.
    """

    federated: bool
    begin: list[Frame]
    end: list[Frame]


@dataclass(frozen=True)
class Part:
    """Rows after a cursor.

    Attributes
    ----------
    complete : bool
        Whether these were all that there are.
    """

    frames: list[Frame]
    complete: bool


def read_state(store: Store, run_id: int) -> State:
    """Read how a run stands.

    Raises
    ------
    TrackingError
    """
    run = views.run_summary(store, store.runs.get(run_id))
    begin = training_mode(run, map(views.client, store.clients.of_run(run_id)))
    return State(
        federated=run["training_mode"] == "federated",
        begin=list(frames([Entry.of(begin)])),
        end=list(frames(map(Entry.of, ending(run)))),
    )


def read_part(store: Store, run_id: int, *, after: int, federated: bool) -> Part:
    """Read rows after a cursor, and the records of their rounds.

    Raises
    ------
    TrackingError
    """
    rows = store.metrics.of_run(run_id, after=after, limit=ROWS_A_READ)
    complete = len(rows) < ROWS_A_READ
    rounds: list[RoundRow] = []
    evaluations: list[ServerEvaluationRow] = []
    if federated:
        # The viewer may not have all that is known of the round of its last row.
        had = store.metrics.of_run(run_id, after=after - 1, limit=1)
        since = (had[0].round or 0) if had and had[0].id == after else 0
        until = math.inf if complete or rows[-1].round is None else rows[-1].round
        rounds = [row for row in store.rounds.of_run(run_id, since=since) if row.round < until]
        evaluations = [row for row in store.evaluations.of_run(run_id, since=since) if row.round < until]
    messages = rows_to_messages(
        rows, run_id=run_id, federated=federated, rounds=rounds, evaluations=evaluations
    )
    return Part(frames=list(frames(map(Entry.of, messages))), complete=complete)


def read_runs(store: Store) -> list[Frame]:
    """Read how the runs stand that are listed.

    Raises
    ------
    TrackingError
    """
    summaries = views.run_summaries(store, listed_runs(store))
    return list(frames(Entry.of(run_status(summary)) for summary in summaries))
