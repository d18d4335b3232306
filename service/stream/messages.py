"""The messages of the live stream, as pydantic models.

``python -m service.stream.messages`` prints the JSON schema stored beside this file as ``stream.schema.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from service.read.schemas import Client, Evaluation, RoundRecord, Row, RunSummary, Stage


class Message(BaseModel):
    """Fields common to all messages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: int | None = Field(description="null: not about a single run (a heartbeat on /ws/runs).")
    cursor: int | None = Field(description="Id of the message's last row; null without rows.")
    time: datetime = Field(
        description="UTC time of the message; for messages about the end of a run, the time when it ended."
    )


class WithRows(Message):
    """A message with metric rows, in the order of their ids."""

    rows: list[Row]


class TrainingMode(Message):
    """The run and its clients: sent first after every connect, and whenever one of them changes."""

    type: Literal["training_mode"]
    run: RunSummary
    clients: list[Client]


class EpochEnd(WithRows):
    """An epoch of a run that is not federated."""

    type: Literal["epoch_end"]
    epoch: int | None
    stage: Stage


class ClientMetrics(WithRows):
    """Metrics that one client of a federated run reported."""

    type: Literal["client_metrics"]
    round: int | None
    client_id: int
    stage: Stage


class RoundMetrics(WithRows):
    """Metrics aggregated over the clients of a round, or the record of a completed round."""

    type: Literal["round_metrics"]
    round: int | None
    record: RoundRecord | None


class ServerEvaluation(WithRows):
    """The global (or pooled) model on the held-out test rows: its metric rows, or the evaluation of a round."""

    type: Literal["server_evaluation"]
    round: int | None = Field(description="null: the final test of a run of any mode.")
    evaluation: Evaluation | None


class EarlyStopping(Message):
    """The run ended before its configured length."""

    type: Literal["early_stopping"]
    reason: str


class Error(Message):
    """The run failed."""

    type: Literal["error"]
    message: str


class TrainingEnd(Message):
    """The run has ended and all its rows were sent; the stream stays open, since a run can be resumed."""

    type: Literal["training_end"]
    status: Literal["completed", "failed", "stopped"]
    run: RunSummary


class Heartbeat(Message):
    """Sent after some seconds without any other message."""

    type: Literal["heartbeat"]
    database: Literal["reachable", "unreachable"] = Field(
        description="Unreachable: rows follow once it is back."
    )


class RunStatus(Message):
    """A run started, progressed or ended; only on /ws/runs."""

    type: Literal["run_status"]
    run: RunSummary


class RunDeleted(Message):
    """A listed run was deleted; only on /ws/runs."""

    type: Literal["run_deleted"]


AnyMessage = Annotated[
    TrainingMode
    | EpochEnd
    | ClientMetrics
    | RoundMetrics
    | ServerEvaluation
    | EarlyStopping
    | Error
    | TrainingEnd
    | Heartbeat
    | RunStatus
    | RunDeleted,
    Field(discriminator="type"),
]


def to_json(message: Message) -> str:
    """A message as JSON."""
    return message.model_dump_json(exclude_unset=True)  # omits ``not_finite`` where it does not apply


def to_frame(messages: Iterable[str]) -> str:
    """Join messages into one WebSocket frame.

    Parameters
    ----------
    messages : iterable of str
        In JSON.

    Returns
    -------
    str
        A JSON array.
    """
    return f"[{','.join(messages)}]"


def stream_schema() -> dict[str, Any]:
    """The JSON schema of a frame."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A frame of fedtwin's live stream",
        **TypeAdapter(Annotated[list[AnyMessage], Field(min_length=1)]).json_schema(),
    }


if __name__ == "__main__":
    print(json.dumps(stream_schema(), indent=1))
