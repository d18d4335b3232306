"""Flower's ClientApp: the same model, DataModule and MetricsCollector, on one client's rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

import torch
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from torch import Tensor

from federated.client.egress import egress_filter
from federated.client.state import Kept
from federated.client.work import (
    OWN_DATA,
    algorithm_for,
    begin_fit,
    config_of,
    fit_context,
    learner_for,
    log_for,
    name_of,
    place_of,
    rows_of,
    state_for,
)
from federated.messages.questions import Asked, answer_content
from federated.messages.records import (
    ARRAYS,
    CLIENT,
    SUMS,
    ClientInfo,
    TrainOrder,
    arrays_from_state,
    error_content,
    reply_content,
    state_of,
)
from federated.strategy.client_half import AskedContext, ClientContext, Tensors
from shared.metrics.point import MetricPoint
from shared.runtime.errors import DataError, FedtwinError
from shared.tasks.client_fit import fit_client
from shared.training.collector import MetricsCollector
from shared.training.optimizer_state import OptimizerState

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
    algorithm_for(order.snapshot, context)  # one that may not run here is rejected before the first round
    data, own = rows_of(order.snapshot, context)
    rows = data.rows("train", own)
    client_id, num_partitions = place_of(context)
    info = ClientInfo(
        client_id=client_id,
        num_partitions=0 if OWN_DATA in context.node_config else num_partitions,  # a share of nothing
        name=name_of(order.snapshot, context),
        schema=data.schema,
        num_examples=len(rows),
        profile=learner_for(order.snapshot, context).spec(data.schema).profile(data, rows),
        num_val=len(data.rows("val", own)),
    )
    return Message(RecordDict({CLIENT: info.to_record()}), reply_to=message)


@app.query(SUMS)
@reporting
def answer(message: Message, context: Context) -> Message:
    """Answer a question of the algorithm's server half, such as for sums over this client's training rows."""
    order = TrainOrder.from_message(message)
    _use_threads(config_of(order.snapshot).federation.client_cpus)
    module, datamodule = begin_fit(order, context)
    algorithm, asked = algorithm_for(order.snapshot, context), Asked.from_message(message)
    own = AskedContext(
        client_id=place_of(context)[0],
        run_key=order.run_key,
        module=module,
        datamodule=datamodule,
        log=log_for(order, context),
    )
    return Message(answer_content(algorithm.answer(asked, own)), reply_to=message)


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
    cfg, learner = config_of(order.snapshot), learner_for(order.snapshot, context)
    _use_threads(cfg.federation.client_cpus)
    client_id, _ = place_of(context)
    module, datamodule = begin_fit(order, context)
    network = learner.network(module)
    network.load_state_dict(state_of(message.content.array_records[ARRAYS]))
    algorithm = algorithm_for(order.snapshot, context)
    state = state_for(order, context, algorithm)
    kept = state.of(order.state_round) if state else Kept()
    network.load_state_dict(kept.local, strict=False)
    received = {spec.name: state_of(message.content.array_records[spec.name]) for spec in algorithm.wire.down}
    half = algorithm.client(
        ClientContext(
            client_id=client_id,
            round=order.round,
            network=network,
            received=received,
            state=kept.algorithm,
            datamodule=datamodule,
        )
    )
    half.before_fit(module)
    buffer = PointBuffer()
    fit = fit_context(order, context)
    collector = MetricsCollector(buffer, round=order.round, client_id=client_id)
    optimizer = OptimizerState(kept.optimizer)
    remember = [optimizer] if cfg.federation.keep_optimizer else []
    if algorithm.wire.returns_model:
        fit_client(
            module,
            datamodule=datamodule,
            cfg=cfg.trainer,
            fit=fit,
            epochs=cfg.federation.local_epochs,
            callbacks=[*learner.callbacks(fit), collector, *remember, *half.callbacks()],
        )
    else:  # it has been trained by answers to questions, or before the fit
        spec = learner.spec(rows_of(order.snapshot, context)[0].schema)
        outputs = learner.predict(module, datamodule, "train")
        buffer.add(
            [
                MetricPoint(
                    stage="train",
                    name=name,
                    value=value,
                    epoch=cfg.federation.local_epochs,
                    num_examples=len(outputs) * cfg.federation.local_epochs,  # those before have no rows
                )
                for name, value in spec.values(outputs).items()
            ]
        )
    result = half.after_fit(module)
    result.check(algorithm.wire)
    # A fit in 16 bits leaves it in 16 bits.
    network = network if module.dtype == torch.float32 else network.float()
    arrays = network.state_dict()
    local = algorithm.local_keys(network)
    if state:
        state.keep(
            Kept({key: arrays[key] for key in local}, result.state, optimizer.after),
            round=order.round,
            accepted=order.state_round,
        )
    stay = frozenset[str]() if algorithm.wire.sends_local else local
    count = datamodule.num_examples("train")
    more = [
        MetricPoint(
            stage="train", name=name, value=value, epoch=cfg.federation.local_epochs, num_examples=count
        )
        for name, value in result.metrics.items()
    ]
    content = reply_content(
        points=[*buffer.points, *more],
        num_examples=count,
        arrays=arrays_from_state({key: tensor for key, tensor in arrays.items() if key not in stay})
        if algorithm.wire.returns_model
        else None,
        extra={name: arrays_from_state(_ordered(tensors, arrays)) for name, tensors in result.arrays.items()},
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
    cfg, learner = config_of(order.snapshot), learner_for(order.snapshot, context)
    _use_threads(cfg.federation.client_cpus)
    module, datamodule = begin_fit(order, context)
    network = learner.network(module)
    network.load_state_dict(state_of(message.content.array_records[ARRAYS]))
    if state := state_for(order, context, algorithm_for(order.snapshot, context)):
        network.load_state_dict(state.of(order.state_round).local, strict=False)
    spec, count = learner.spec(rows_of(order.snapshot, context)[0].schema), datamodule.num_examples("val")
    outputs = learner.predict(module, datamodule, "val")
    points = [
        MetricPoint(stage="val", name=name, value=value, num_examples=count)
        for name, value in spec.values(outputs).items()
    ]
    content = reply_content(points=points, num_examples=count, statistics=spec.statistics(outputs))
    return Message(content, reply_to=message)


def _use_threads(count: int) -> None:
    # Once and for all: where it goes back and forth, every step takes longer.
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def _ordered(tensors: Tensors, arrays: Tensors) -> dict[str, Tensor]:
    """Tensors in the order of the model's, in which replies are expected."""
    places = {key: place for place, key in enumerate(arrays)}
    return dict(sorted(tensors.items(), key=lambda item: places.get(item[0], len(places))))
