"""Flower's ClientApp: the same model, DataModule and MetricsCollector, on one client's rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

import torch
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from lightning.pytorch.callbacks import Callback

from federated.client.egress import egress_filter
from federated.client.work import OWN_DATA, begin_fit, config_of, learner_for, place_of, rows_of
from federated.messages.records import (
    ARRAYS,
    CLIENT,
    ClientInfo,
    TrainOrder,
    arrays_of,
    error_content,
    reply_content,
    state_of,
)
from federated.strategy.proximal_term import ProximalTerm
from shared.metrics.point import MetricPoint
from shared.metrics.thresholds import threshold_counts
from shared.runtime.errors import DataError, FedtwinError
from shared.training.collector import MetricsCollector
from shared.training.minimal_loop import lean_trainer

app = ClientApp(mods=[egress_filter])


class PointBuffer:
    """A client's metric sink: points wait here until they leave with the reply."""

    def __init__(self) -> None:
        self.points: list[MetricPoint] = []

    def add(self, points: Sequence[MetricPoint]) -> None:
        """Keep points."""
        self.points.extend(points)


Handler = Callable[[Message, Context], Message]


def reporting(handler: Handler) -> Handler:
    """Let errors with a name reach the server as their text, not as the traceback that Flower sends.

    What is wrong with a site's own data stays there: the text may name files, and these patients.
    """

    @wraps(handler)
    def call(message: Message, context: Context) -> Message:
        try:
            return handler(message, context)
        except FedtwinError as error:
            if OWN_DATA in context.node_config and isinstance(error, DataError):
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                error = type(error)("this site's data cannot be used; the log of its node says why")
            return Message(error_content(error), reply_to=message)

    return call


@app.query()
@reporting
def describe(message: Message, context: Context) -> Message:
    """Tell the server who this client is and what it has; no image and no file name leaves it."""
    order = TrainOrder.from_message(message)
    data, own = rows_of(order.snapshot, context)
    rows = data.rows("train", own)
    client_id, num_partitions = place_of(context)
    info = ClientInfo(
        client_id=client_id,
        num_partitions=0 if OWN_DATA in context.node_config else num_partitions,  # a share of nothing
        name=str(context.node_config.get("site", f"client-{client_id}")),
        schema=data.schema,
        num_examples=len(rows),
        profile=learner_for(order.snapshot).spec(data.schema).profile(data, rows),
        num_val=len(data.rows("val", own)),
    )
    return Message(RecordDict({CLIENT: info.to_record()}), reply_to=message)


@app.train()
@reporting
def train(message: Message, context: Context) -> Message:
    """Train the received model for ``federation.local_epochs`` on this client's rows.

    Returns
    -------
    Message
        The trained arrays, the number of training rows, and the metrics of each local epoch.
    """
    order = TrainOrder.from_message(message)
    cfg, learner = config_of(order.snapshot), learner_for(order.snapshot)
    _use_threads(cfg.federation.client_cpus)
    module, datamodule = begin_fit(order, context)
    network = learner.network(module)
    network.load_state_dict(state_of(message.content.array_records[ARRAYS]))
    buffer = PointBuffer()
    callbacks: list[Callback] = [MetricsCollector(buffer, round=order.round, client_id=place_of(context)[0])]
    if order.proximal_mu:
        callbacks.append(ProximalTerm(order.proximal_mu))
    lean_trainer(cfg.trainer).fit(
        module, datamodule=datamodule, max_epochs=cfg.federation.local_epochs, callbacks=callbacks
    )
    content = reply_content(
        points=buffer.points,
        num_examples=datamodule.num_examples("train"),
        # A fit in 16 bits leaves it in 16 bits.
        arrays=arrays_of(network if module.dtype == torch.float32 else network.float()),
    )
    return Message(content, reply_to=message)


@app.evaluate()
@reporting
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the received model on this client's validation rows.

    Returns
    -------
    Message
        The number of validation rows and the metrics; those that a missing class makes undefined are omitted.
    """
    order = TrainOrder.from_message(message)
    cfg, learner = config_of(order.snapshot), learner_for(order.snapshot)
    _use_threads(cfg.federation.client_cpus)
    module, datamodule = begin_fit(order, context)
    learner.network(module).load_state_dict(state_of(message.content.array_records[ARRAYS]))
    spec, count = learner.spec(rows_of(order.snapshot, context)[0].schema), datamodule.num_examples("val")
    outputs = learner.predict(module, datamodule, "val")
    points = [
        MetricPoint(stage="val", name=name, value=value, num_examples=count)
        for name, value in spec.values(outputs).items()
    ]
    thresholds = threshold_counts(outputs) if cfg.trainer.threshold == "val" else None
    return Message(reply_content(points=points, num_examples=count, thresholds=thresholds), reply_to=message)


def _use_threads(count: int) -> None:
    # Once and for all: where it goes back and forth, every step takes longer.
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
