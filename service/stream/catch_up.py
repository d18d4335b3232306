"""Catch-up reads: the frames that a viewer at a given cursor has missed, read from the store."""

from __future__ import annotations

import math
from dataclasses import dataclass

from service.read import summaries
from service.stream.encode import encode_end, encode_rows, encode_run_status, encode_training_mode
from service.stream.follower import ROWS_PER_READ, listed_runs
from service.stream.replay_buffer import Entry, Frame, frames
from shared.tracking.rows import RoundRow, ServerEvaluationRow
from shared.tracking.store import Store


@dataclass(frozen=True)
class Snapshot:
    """The state of a run.

    Attributes
    ----------
    begin, end : list of Frame
        To send before the first and after the last row.
    """

    federated: bool
    begin: list[Frame]
    end: list[Frame]


@dataclass(frozen=True)
class Page:
    """Some of the rows after a cursor.

    Attributes
    ----------
    complete : bool
        Whether no rows are left.
    """

    frames: list[Frame]
    complete: bool


def read_snapshot(store: Store, run_id: int) -> Snapshot:
    """Read the state of a run.

    Raises
    ------
    TrackingError
    """
    run = summaries.run_summary(store, store.runs.get(run_id))
    begin = encode_training_mode(run, map(summaries.client, store.clients.of_run(run_id)))
    return Snapshot(
        federated=run["training_mode"] == "federated",
        begin=list(frames([Entry.of(begin)])),
        end=list(frames(map(Entry.of, encode_end(run)))),
    )


def read_page(store: Store, run_id: int, *, after: int, federated: bool) -> Page:
    """Read the next rows after a cursor, and the records of their rounds.

    Raises
    ------
    TrackingError
    """
    rows = store.metrics.of_run(run_id, after=after, limit=ROWS_PER_READ)
    complete = len(rows) < ROWS_PER_READ
    rounds: list[RoundRow] = []
    evaluations: list[ServerEvaluationRow] = []
    if federated:
        # The viewer may lack the record of the round of its last row.
        had = store.metrics.of_run(run_id, after=after - 1, limit=1)
        since = (had[0].round or 0) if had and had[0].id == after else 0
        until = math.inf if complete or rows[-1].round is None else rows[-1].round
        rounds = [row for row in store.rounds.of_run(run_id, since=since) if row.round < until]
        evaluations = [row for row in store.evaluations.of_run(run_id, since=since) if row.round < until]
    messages = encode_rows(rows, run_id=run_id, federated=federated, rounds=rounds, evaluations=evaluations)
    return Page(frames=list(frames(map(Entry.of, messages))), complete=complete)


def read_runs(store: Store) -> list[Frame]:
    """Read the summaries of the listed runs.

    Raises
    ------
    TrackingError
    """
    found = summaries.run_summaries(store, listed_runs(store))
    return list(frames(Entry.of(encode_run_status(summary)) for summary in found))
