"""What the tests of this folder share: what a run left behind or sent, and a ClientApp that trains nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from safetensors.torch import load_file
from torch import Tensor

from federated.client.app import app
from federated.messages.records import (
    ARRAYS,
    CLIENT,
    CONFIG,
    METRICS,
    NUM_EXAMPLES,
    SERVER_ROUND,
    ClientInfo,
    reply_content,
)
from shared.config.compose import CONF_DIR
from shared.config.config import Config
from shared.data.schema import Schema
from shared.metrics.point import MetricPoint
from shared.runtime.home import Home
from shared.tracking.rows import MetricRow, RoundRow, RunRow
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from tests.profiles import labelled

# These train no network: their tests in tests/federated/strategy hold them to the same laws.
OF_NETWORKS = sorted(
    path.stem
    for path in (CONF_DIR / "strategy").glob("*.yaml")
    if path.stem not in ("base", "boosting", "clusters", "sums", "bagging", "cyclic")
)


@dataclass(frozen=True)
class Run:
    """What a federated run left behind."""

    store: Store
    home: Home
    id: int
    lines: list[str]

    @property
    def row(self) -> RunRow:
        return self.store.runs.get(self.id)

    @property
    def rounds(self) -> list[RoundRow]:
        return self.store.rounds.of_run(self.id)

    def weights(self, name: str = "last") -> dict[str, Tensor]:
        return dict(load_file(self.home.run_dir(self.id) / "checkpoints" / f"{name}.safetensors"))

    def digest(self, name: str = "last") -> str:
        return digest(self.weights(name))

    def rows(self, name: str, *, stage: str, client_id: int | None = None) -> list[MetricRow]:
        wanted = (name, stage, client_id)
        return [
            row for row in self.store.metrics.of_run(self.id) if (row.name, row.stage, row.client_id) == wanted
        ]

    def values(self, name: str, *, stage: str, client_id: int | None = None) -> dict[int | None, float]:
        """By round."""
        return {row.round: row.value for row in self.rows(name, stage=stage, client_id=client_id)}


def digest(state: dict[str, Tensor]) -> str:
    """SHA-256 of all arrays, their names, types and shapes."""
    content = hashlib.sha256()
    for key in sorted(state):
        content.update(f"{key} {state[key].dtype} {tuple(state[key].shape)}".encode())
        content.update(state[key].contiguous().numpy().tobytes())
    return content.hexdigest()


MakeConfig = Callable[..., Config]
Federate = Callable[..., Run]


@dataclass(frozen=True)
class Asked:
    """Where a toy client is when it replies."""

    kind: str
    client_id: int
    round: int


Reply = Callable[[RecordDict, Asked], RecordDict]
Report = Callable[[Asked], dict[str, float]]


def toy_app(
    counts: Sequence[int] = (10, 20, 30),
    *,
    num_val: Sequence[int] | None = None,
    classes: Sequence[str] = ("0", "1"),
    report: Report = lambda asked: {"loss": asked.client_id + 1.0},
    reply: Reply = lambda content, asked: content,
    info: Callable[[dict[str, Any]], dict[str, Any]] = lambda values: values,
) -> ClientApp:
    """Client ``k`` has ``counts[k]`` training rows, and adds ``(k + 1) / 8`` to every array.

    Parameters
    ----------
    counts : sequence of int
    num_val : sequence of int, optional
        Validation rows; as many as for training without it.
    classes : sequence of str
    report : callable
        Values by name.
    reply : callable
        Changes what is sent, or raises.
    info : callable
        Changes what a client says of itself.

    Returns
    -------
    ClientApp
    """
    toy = ClientApp()

    def asked(message: Message, context: Context, kind: str) -> Asked:
        number = message.content.config_records[CONFIG][SERVER_ROUND]
        assert isinstance(number, int)
        return Asked(kind, int(context.node_config["partition-id"]), number)

    def points(where: Asked, stage: Any) -> list[MetricPoint]:
        return [MetricPoint(stage=stage, name=name, value=value) for name, value in report(where).items()]

    @toy.query()
    def query(message: Message, context: Context) -> Message:
        me = int(context.node_config["partition-id"])
        values = {
            "client_id": me,
            "num_partitions": int(context.node_config["num-partitions"]),
            "name": f"site {me}",
            "schema": Schema(classes=tuple(classes)),
            "num_examples": counts[me],
            "profile": labelled(counts[me], *[0] * (len(classes) - 1), names=classes),
            "num_val": (num_val or counts)[me],
        }
        return Message(RecordDict({CLIENT: ClientInfo(**info(values)).to_record()}), reply_to=message)

    @toy.train()
    def train(message: Message, context: Context) -> Message:
        where = asked(message, context, "train")
        arrays = {
            key: Array(np.asarray(array.numpy() + np.asarray((where.client_id + 1) / 8, array.dtype)))
            for key, array in message.content.array_records[ARRAYS].items()
        }
        content = reply_content(
            points=points(where, "train"),
            num_examples=counts[where.client_id],
            arrays=ArrayRecord(arrays),
        )
        return Message(reply(content, where), reply_to=message)

    @toy.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        where = asked(message, context, "evaluate")
        content = reply_content(points=points(where, "val"), num_examples=(num_val or counts)[where.client_id])
        return Message(reply(content, where), reply_to=message)

    return toy


class Tapped(InProcessGrid):
    """Keeps copies of all train messages and their replies, by round and client."""

    def __init__(self, client_app: ClientApp, *, num_clients: int) -> None:
        super().__init__(client_app, num_clients=num_clients)
        self.messages: dict[tuple[int, int], Message] = {}
        self.replies: dict[tuple[int, int], Message] = {}

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        ids = [message_id for message_id in message_ids if message_id in self._queue]
        asked = self._queue[ids[0]] if ids else None
        replies = super().pull_messages(ids)
        if asked is not None and asked.metadata.message_type == MessageType.TRAIN:
            round = asked.content.config_records[CONFIG][SERVER_ROUND]
            client_id = self.contexts[asked.metadata.dst_node_id].node_config["partition-id"]
            assert isinstance(round, int)
            assert isinstance(client_id, int)
            self.messages[round, client_id] = asked
            # Aggregation empties the records of a reply.
            self.replies[round, client_id] = Message(copied(replies[0].content), reply_to=asked)
        return replies


def copied(content: RecordDict) -> RecordDict:
    return RecordDict(
        {
            name: ArrayRecord(dict(record)) if isinstance(record, ArrayRecord) else deepcopy(record)
            for name, record in content.items()
        }
    )


def drops(*numbers: int, client_id: int, how: str) -> ClientApp:
    """Our ClientApp, of which the server does not get one client's training replies of some rounds.

    Parameters
    ----------
    how : {"not-trained", "lost", "rejected"}
        In the last two, the client has trained.
    """
    lossy = ClientApp()

    @lossy.query()
    def query(message: Message, context: Context) -> Message:
        return app(message, context)

    @lossy.train()
    def train(message: Message, context: Context) -> Message:
        number = message.content.config_records[CONFIG][SERVER_ROUND]
        if number not in numbers or context.node_config["partition-id"] != client_id:
            return app(message, context)
        if how == "not-trained":
            raise ConnectionError
        reply = app(message, context)
        if how == "lost":
            raise ConnectionError
        reply.content.metric_records[METRICS][NUM_EXAMPLES] = 0
        return reply

    @lossy.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return app(message, context)

    return lossy
