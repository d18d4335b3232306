"""The messages of the live stream, as pydantic models; `narrate` makes them out of rows.

``python -m service.stream.messages`` prints the JSON schema that lies beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from service.api.schemas import Client, Evaluation, RoundRecord, Row, RunSummary, Stage


class Message(BaseModel):
    """What all messages have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: int | None = Field(description="null: of no single run (a heartbeat on /ws/runs).")
    cursor: int | None = Field(description="The id of the message's last row; null where there are no rows.")
    time: datetime = Field(
        description="When the server made the message, in UTC; of one that says how the run ended, when it did."
    )


class WithRows(Message):
    """A message that carries rows, in the order of their ids."""

    rows: list[Row]


class TrainingMode(Message):
    """The run and its clients: first after every connect, and whenever one of them changes."""

    type: Literal["training_mode"]
    run: RunSummary
    clients: list[Client]


class EpochEnd(WithRows):
    """An epoch of a run that is not federated."""

    type: Literal["epoch_end"]
    epoch: int | None
    stage: Stage


class ClientMetrics(WithRows):
    """What one client of a federated run reported."""

    type: Literal["client_metrics"]
    round: int | None
    client_id: int
    stage: Stage


class RoundMetrics(WithRows):
    """The clients' aggregates of a round, or the record of a round that has ended, or both."""

    type: Literal["round_metrics"]
    round: int | None
    record: RoundRecord | None


class ServerEvaluation(WithRows):
    """The whole model on the held-out test rows."""

    type: Literal["server_evaluation"]
    round: int | None = Field(description="null: the final test, of a run of any mode.")
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
    """The run has ended, and all its rows were sent; the stream stays open, as a run can be resumed."""

    type: Literal["training_end"]
    status: Literal["completed", "failed", "stopped"]
    run: RunSummary


class Heartbeat(Message):
    """Nothing else was to be said for some seconds."""

    type: Literal["heartbeat"]
    database: Literal["reachable", "unreachable"] = Field(description="Unreachable: rows come when it is back.")


class RunStatus(Message):
    """A run began, went on or ended; only on /ws/runs."""

    type: Literal["run_status"]
    run: RunSummary


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
    | RunStatus,
    Field(discriminator="type"),
]


def encode(message: Message) -> str:
    """A message as JSON."""
    return message.model_dump_json(exclude_unset=True)  # ``not_finite`` is only there where it is said


def frame(messages: Iterable[str]) -> str:
    """What is sent at once.

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
