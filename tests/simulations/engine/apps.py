"""ClientApps for the tests of the engine, in a module of their own: its workers import them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


def _order(message: Message) -> ConfigRecord:
    return message.content.config_records["order"]


@app.train()
def train(message: Message, context: Context) -> Message:
    """Adds the partition to the array, counts its calls, and changes what it was sent."""
    before = context.state.metric_records.get("calls", MetricRecord({"n": 0}))["n"]
    assert isinstance(before, int)
    context.state["calls"] = MetricRecord({"n": before + 1})
    partition = int(context.node_config["partition-id"])
    array = message.content.array_records["model"]["w"].numpy()
    _order(message)["x"] = 100
    answer = MetricRecord(
        {"calls": before + 1, "partition": partition, "process": os.getpid(), "ended": time.monotonic()}
    )
    arrays = ArrayRecord({"w": Array(np.asarray(array + partition))})
    return Message(RecordDict({"answer": answer, "model": arrays}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Ends its process, as an out-of-memory killer would, until it has done so often enough."""
    order = _order(message)
    deaths = Path(str(order["deaths"]))
    count = len(deaths.read_text()) if deaths.exists() else 0
    if context.node_config["partition-id"] == order["victim"] and count < int(str(order["times"])):
        with deaths.open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return Message(RecordDict({"answer": MetricRecord({"alive": 1})}), reply_to=message)


@app.query()
def query(message: Message, context: Context) -> Message:
    """Raises."""
    raise ValueError("no luck")
