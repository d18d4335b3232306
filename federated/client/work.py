"""What a client works with: its rows, and the learner and module of its task, kept from round to round."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from flwr.app import Context
from lightning import LightningModule

from federated.client.site import may_run
from federated.client.state import ClientState
from federated.kit.site_data import own_data
from federated.messages.question_log import QuestionLog
from federated.messages.records import TrainOrder
from federated.strategy.base import Algorithm, keeps_state, load_algorithm
from shared.config.config import Config
from shared.config.stored import read_snapshot
from shared.config.table_data import TableDataConfig
from shared.data.dataset import SIDES, Dataset, Ints
from shared.data.partition.partition import client_names, partition
from shared.data.schema import Schema
from shared.data.sql.rows import pin_rows_of_run
from shared.runtime.errors import FederationError
from shared.runtime.home import open_home
from shared.tasks.base import FitContext, Learner
from shared.tasks.reading import read_data
from shared.tasks.task import learner_of

OWN_DATA = "data-path"  # of the node config


def place_of(context: Context) -> tuple[int, int]:
    """Which partition this client is, and of how many.

    Raises
    ------
    FederationError
        The node config does not say.
    """
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


def rows_of(snapshot: str, context: Context) -> tuple[Dataset, Ints | None]:
    """The data, and which of its rows are this client's; None: all, of a site with data of its own.

    Raises
    ------
    FedtwinError
    """
    client_id, num_partitions = place_of(context)
    own_path = context.node_config.get(OWN_DATA)
    if own_path is not None:
        return _own(snapshot, str(own_path), may_run(context), str(context.run_id)), None
    data, parts = _shares(snapshot, num_partitions, may_run(context))
    return data, parts[client_id]


def name_of(snapshot: str, context: Context) -> str:
    """What this client is called: as its node is told, or as the partition calls it."""
    site, (client_id, num_partitions) = context.node_config.get("site"), place_of(context)
    if site is not None:
        return str(site)
    if OWN_DATA in context.node_config:
        return f"client-{client_id}"
    data, _ = _shares(snapshot, num_partitions, may_run(context))
    return client_names(data, cfg=config_of(snapshot).shares, num_partitions=num_partitions)[client_id]


def fit_context(order: TrainOrder, context: Context) -> FitContext:
    """Where the fit of an order stands in the whole training."""
    federation = config_of(order.snapshot).federation
    return FitContext(
        partition_id=place_of(context)[0],
        total_epochs=federation.num_rounds * federation.local_epochs,
        epoch_offset=max(order.round - 1, 0) * federation.local_epochs,
        parts=federation.rounds_per_epoch,
        lr_scale=order.lr_scale,
        agreed=json.loads(order.agreed),
    )


def begin_fit(order: TrainOrder, context: Context) -> tuple[LightningModule, Any]:
    """The module, made ready for the fit of an order, and the client's datamodule.

    Returns
    -------
    tuple of LightningModule and LightningDataModule
        The module's weights are those of its last fit.
    """
    learner, fit = learner_for(order.snapshot, context), fit_context(order, context)
    data, rows = rows_of(order.snapshot, context)
    module = learner.begin_fit(_module(order.snapshot, data.schema, may_run(context)), fit)
    return module, learner.datamodule(data, rows, fit)


def learner_for(snapshot: str, context: Context) -> Learner:
    """What trains the task of a configuration, if it may run here.

    Raises
    ------
    ConfigError
    """
    return _learner(snapshot, may_run(context))


def algorithm_for(snapshot: str, context: Context) -> Algorithm:
    """The algorithm of a configuration, if it may run here.

    Raises
    ------
    ConfigError
    """
    return _algorithm(snapshot, may_run(context))


def state_for(order: TrainOrder, context: Context, algorithm: Algorithm) -> ClientState | None:
    """Where the client keeps what it needs in a later round; None if that is nothing."""
    if not keeps_state(config_of(order.snapshot), algorithm):
        return None
    client_id, _ = place_of(context)
    return ClientState(context, home=open_home().root, run_key=order.run_key, client_id=client_id)


def log_for(order: TrainOrder, context: Context) -> QuestionLog:
    """Where the client keeps what it was asked.

    Raises
    ------
    FederationError
        The order has no key of a run.
    """
    client_id, _ = place_of(context)
    state = ClientState(context, home=open_home().root, run_key=order.run_key, client_id=client_id)
    return QuestionLog(state.begun() / "questions")


@lru_cache(maxsize=2)
def config_of(snapshot: str) -> Config:
    """The configuration that an order carries."""
    return read_snapshot(json.loads(snapshot))


@lru_cache(maxsize=2)
def _learner(snapshot: str, allowed: tuple[str, ...]) -> Learner:
    return learner_of(config_of(snapshot), may_run=allowed)


@lru_cache(maxsize=2)
def _algorithm(snapshot: str, allowed: tuple[str, ...]) -> Algorithm:
    return load_algorithm(config_of(snapshot).strategy, may_run=allowed)


@lru_cache(maxsize=2)
def _module(snapshot: str, schema: Schema, allowed: tuple[str, ...]) -> LightningModule:
    return _learner(snapshot, allowed).module(schema, FitContext())


@lru_cache(maxsize=2)
def _shares(snapshot: str, num_partitions: int, allowed: tuple[str, ...]) -> tuple[Dataset, list[Ints]]:
    # The process that started the run says what was read.
    data = _learner(snapshot, allowed).dataset(cache=open_home().cache)
    return data, partition(data, cfg=config_of(snapshot).shares, num_partitions=num_partitions)


@lru_cache(maxsize=2)
def _own(snapshot: str, path: str, allowed: tuple[str, ...], run: str) -> Dataset:
    cache = open_home().cache
    cfg = own_data(config_of(snapshot), path=path)
    if isinstance(cfg.data, TableDataConfig) and cfg.data.source == "sql":
        # The database is asked once for all processes of a run.
        cfg = cfg.replace("data", digest=pin_rows_of_run(cfg.data, cache=cache, run=run))
    sides = [side for side in SIDES if side != "test"]
    own = learner_of(cfg, may_run=allowed)
    return read_data(own, cache=cache, sides=sides)[0]  # told in the site's own log
