"""Encodes stored rows as the messages of the live stream."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from service.read import summaries
from service.stream.messages import (
    ClientMetrics,
    EarlyStopping,
    EpochEnd,
    Error,
    Heartbeat,
    Message,
    RoundMetrics,
    RunDeleted,
    RunStatus,
    ServerEvaluation,
    TrainingEnd,
    TrainingMode,
)
from shared.tracking.rows import FINISHED, MetricRow, RoundRow, ServerEvaluationRow

ROWS_PER_MESSAGE = 250


def encode_rows(
    rows: Sequence[MetricRow],
    *,
    run_id: int,
    federated: bool,
    rounds: Iterable[RoundRow] = (),
    evaluations: Iterable[ServerEvaluationRow] = (),
) -> list[Message]:
    """Encode metric rows in order, with the record and evaluation of each round between them.

    The record of round k precedes the rows of later rounds, so that a viewer that has a later row has it.
    Records and evaluations are messages of their own: a viewer may have read rows before their evaluation was
    stored, and messages whose rows it has are skipped.

    Parameters
    ----------
    rows : sequence of MetricRow
        By id.
    """
    ended = {row.round: row for row in rounds}
    evaluated = {row.round: row for row in evaluations}
    messages: list[Message] = []

    def flush_rounds(*, before: float) -> None:
        for number in sorted(number for number in {*evaluated, *ended} if number < before):
            if number in evaluated:
                messages.append(_encode_evaluation(evaluated.pop(number), run_id=run_id))
            if number in ended:
                messages.append(_encode_round(ended.pop(number), run_id=run_id))

    for (kind, number, _, _, _), group in groupby(rows, lambda row: _message_key(row, federated=federated)):
        flush_rounds(before=math.inf if number is None else number)
        same = list(group)
        parts = [same[start : start + ROWS_PER_MESSAGE] for start in range(0, len(same), ROWS_PER_MESSAGE)]
        messages += [_encode_rows(kind, part) for part in parts]
    flush_rounds(before=math.inf)
    return messages


def encode_training_mode(run: Mapping[str, Any], clients: Iterable[Mapping[str, Any]]) -> TrainingMode:
    """Encode a run and its clients.

    Parameters
    ----------
    run : mapping
        Of `service.read.summaries.run_summary`.
    clients : iterable of mapping
        Of `service.read.summaries.client`.
    """
    return TrainingMode(type="training_mode", **_envelope(run["id"]), run=run, clients=list(clients))


def encode_end(run: Mapping[str, Any]) -> list[Message]:
    """Encode how a run ended, to be sent after its last row.

    Parameters
    ----------
    run : mapping
        Of `service.read.summaries.run_summary`.

    Returns
    -------
    list of Message
        Empty while the run is in progress.
    """
    status, head = run["status"], _envelope(run["id"])
    if status not in FINISHED:
        return []
    if run["ended"] is not None:  # for viewers who connect later
        head["time"] = datetime.fromisoformat(run["ended"])
    messages: list[Message] = []
    if status == "completed" and run["stop_reason"] is not None:
        messages.append(EarlyStopping(type="early_stopping", **head, reason=run["stop_reason"]))
    if run["error"] is not None:
        messages.append(Error(type="error", **head, message=run["error"]))
    return [*messages, TrainingEnd(type="training_end", **head, status=status, run=run)]


def encode_run_status(run: Mapping[str, Any]) -> RunStatus:
    """Encode the summary of a run, for the stream of all runs.

    Parameters
    ----------
    run : mapping
        Of `service.read.summaries.run_summary`.
    """
    return RunStatus(type="run_status", **_envelope(run["id"]), run=run)


def encode_run_deleted(run_id: int) -> RunDeleted:
    """Encode that there is no such run any more, for the stream of all runs."""
    return RunDeleted(type="run_deleted", **_envelope(run_id))


def encode_heartbeat(run_id: int | None, *, reachable: bool) -> Heartbeat:
    """Encode a heartbeat.

    Parameters
    ----------
    reachable : bool
        Whether the database can be read.
    """
    database = "reachable" if reachable else "unreachable"
    return Heartbeat(type="heartbeat", **_envelope(run_id), database=database)


def _envelope(run_id: int | None, *, cursor: int | None = None) -> dict[str, Any]:
    return {"run_id": run_id, "cursor": cursor, "time": datetime.now(UTC)}


def _message_key(row: MetricRow, *, federated: bool) -> tuple[Any, ...]:
    # Kind, round, epoch, client and stage: equal for all rows of one message.
    if federated and row.client_id is not None:
        return "client_metrics", row.round, None, row.client_id, row.stage
    if row.stage == "test":
        return "server_evaluation", row.round, None, None, None
    if federated:
        return "round_metrics", row.round, None, None, None
    return "epoch_end", None, row.epoch, None, row.stage


def _encode_rows(kind: str, rows: Sequence[MetricRow]) -> Message:
    first, last = rows[0], rows[-1]
    head = {**_envelope(last.run_id, cursor=last.id), "rows": [summaries.metric_row(row) for row in rows]}
    if kind == "client_metrics":
        place = {"round": first.round, "client_id": first.client_id, "stage": first.stage}
        return ClientMetrics(type="client_metrics", **head, **place)
    if kind == "round_metrics":
        return RoundMetrics(type="round_metrics", **head, round=first.round, record=None)
    if kind == "server_evaluation":
        return ServerEvaluation(type="server_evaluation", **head, round=first.round, evaluation=None)
    return EpochEnd(type="epoch_end", **head, epoch=first.epoch, stage=first.stage)


def _encode_round(row: RoundRow, *, run_id: int) -> RoundMetrics:
    head = {**_envelope(run_id), "rows": [], "round": row.round}
    return RoundMetrics(type="round_metrics", **head, record=summaries.round_record(row))


def _encode_evaluation(row: ServerEvaluationRow, *, run_id: int) -> ServerEvaluation:
    head = {**_envelope(run_id), "rows": [], "round": row.round}
    return ServerEvaluation(type="server_evaluation", **head, evaluation=summaries.evaluation(row))
