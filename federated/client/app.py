"""Flower's ClientApp: the same model, DataModule and MetricsCollector, on one client's rows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

import numpy as np
import numpy.typing as npt
import torch
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from lightning.pytorch.callbacks import Callback

from federated.client.egress import egress_filter
from federated.kit.site_data import own_data
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
from shared.config.config import Config
from shared.config.stored import read_snapshot
from shared.data.datamodule import ImageDataModule
from shared.data.images.dataset import ImageData, load_images
from shared.data.partition.partition import partition
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.point import MetricPoint
from shared.metrics.thresholds import threshold_counts
from shared.model.classifier import LitClassifier
from shared.model.prediction import predict
from shared.runtime.errors import DataError, FederationError, FedtwinError
from shared.runtime.home import open_home
from shared.training.collector import MetricsCollector
from shared.training.minimal_loop import lean_trainer
from shared.training.trainer import evaluation_device

OWN_DATA = "data-path"  # of the node config

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
    datamodule = _datamodule(TrainOrder.from_message(message), context, whole=True)
    client_id, num_partitions = _place(context)
    info = ClientInfo(
        client_id=client_id,
        num_partitions=0 if OWN_DATA in context.node_config else num_partitions,  # a share of nothing
        name=str(context.node_config.get("site", f"client-{client_id}")),
        schema=datamodule.data.schema,
        num_examples=datamodule.num_examples("train"),
        profile=datamodule.profile(),
        num_val=datamodule.num_examples("val"),
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
    cfg = _config(order.snapshot)
    _use_threads(cfg.federation.client_cpus)
    client_id, _ = _place(context)
    datamodule = _datamodule(order, context)
    module = _module(cfg, message, datamodule, order=order, client_id=client_id)
    buffer = PointBuffer()
    callbacks: list[Callback] = [MetricsCollector(buffer, round=order.round, client_id=client_id)]
    if order.proximal_mu:
        callbacks.append(ProximalTerm(order.proximal_mu))
    lean_trainer(cfg.trainer).fit(
        module, datamodule=datamodule, max_epochs=cfg.federation.local_epochs, callbacks=callbacks
    )
    content = reply_content(
        points=buffer.points,
        num_examples=datamodule.num_examples("train"),
        # A fit in 16 bits leaves it in 16 bits.
        arrays=arrays_of(module.network if module.dtype == torch.float32 else module.network.float()),
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
    cfg = _config(order.snapshot)
    _use_threads(cfg.federation.client_cpus)
    client_id, _ = _place(context)
    datamodule = _datamodule(order, context)
    module = _module(cfg, message, datamodule, order=order, client_id=client_id)
    count = datamodule.num_examples("val")
    outputs = predict(module.network, datamodule, "val", device=evaluation_device(cfg.trainer))
    judge = ClassificationMetrics(outputs.num_classes)
    points = [
        MetricPoint(stage="val", name=name, value=value, num_examples=count)
        for name, value in judge.values(outputs).items()
    ]
    wanted = cfg.trainer.threshold == "val" and outputs.num_classes == 2
    thresholds = threshold_counts(outputs) if wanted else None
    return Message(reply_content(points=points, num_examples=count, thresholds=thresholds), reply_to=message)


def _use_threads(count: int) -> None:
    # Once and for all: where it goes back and forth, every step takes longer.
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def _module(
    cfg: Config, message: Message, datamodule: ImageDataModule, *, order: TrainOrder, client_id: int
) -> LitClassifier:
    federation = cfg.federation
    module = _classifier(order.snapshot, len(datamodule.data.classes))
    module.place(
        partition_id=client_id,
        total_epochs=federation.num_rounds * federation.local_epochs,
        epoch_offset=max(order.round - 1, 0) * federation.local_epochs,
        lr_scale=order.lr_scale,
        class_weights=order.class_weights,
    )
    module.network.load_state_dict(state_of(message.content.array_records[ARRAYS]))
    return module


def _datamodule(order: TrainOrder, context: Context, *, whole: bool = False) -> ImageDataModule:
    cfg = _config(order.snapshot)
    client_id, num_partitions = _place(context)
    own_path = context.node_config.get(OWN_DATA)
    if own_path is not None:  # a site with its own data: all of it is its partition
        data, indices = _load(order.snapshot, str(own_path)), None
    else:
        data, parts = _shares(order.snapshot, num_partitions)
        indices = parts[client_id]
    return ImageDataModule(
        data,
        cfg=cfg.data,
        seed=cfg.seed,
        indices=indices,
        partition_id=client_id,
        epoch_offset=max(order.round - 1, 0) * cfg.federation.local_epochs,
        parts=1 if whole else cfg.federation.rounds_per_epoch,
    )


def _place(context: Context) -> tuple[int, int]:
    config = context.node_config
    try:
        place, total = int(config["partition-id"]), int(config["num-partitions"])
    except (KeyError, ValueError):
        place, total = -1, 0
    if not 0 <= place < total:
        raise FederationError(
            f"the node must know which partition it is, got {dict(config)}; "
            f"start it with --node-config 'partition-id=0 num-partitions=2', counted from 0"
        )
    return place, total


@lru_cache(maxsize=2)
def _config(snapshot: str) -> Config:
    return read_snapshot(json.loads(snapshot))


@lru_cache(maxsize=2)
def _classifier(snapshot: str, num_classes: int) -> LitClassifier:
    return LitClassifier(_config(snapshot), num_classes=num_classes)


@lru_cache(maxsize=2)
def _shares(snapshot: str, num_partitions: int) -> tuple[ImageData, list[npt.NDArray[np.int64]]]:
    cfg = _config(snapshot)
    data = _load(snapshot, None)
    return data, partition(data, cfg=cfg.partition, num_partitions=num_partitions)


@lru_cache(maxsize=2)
def _load(snapshot: str, path: str | None) -> ImageData:
    cfg = _config(snapshot)
    if path is not None:
        return load_images(own_data(cfg, path=path).data, cache_dir=open_home().cache, sides=("train", "val"))
    return load_images(cfg.data, cache_dir=open_home().cache)
