"""`train_twins`: trains the twins of a comparison for every seed: pooled, federated and optionally local."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeGuard

from centralized.fit import CHECKPOINTS, StartingModel
from centralized.train import Subset, train
from federated.server.checkpoint import load_checkpoint
from shared.config.config import Config
from shared.data.dataset import Dataset, Ints
from shared.data.partition.partition import client_names, partition
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.runtime.notebook import in_notebook
from shared.tasks.reading import DATA, read_data
from shared.tasks.task import learner_of
from shared.tracking.progress import Board
from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from shared.tracking.twins import BORROWED
from simulations.budget import Budget, plan
from simulations.preflight import check_before_training
from simulations.runner import Runner
from simulations.twin_settings import describe, warn_one_sided


@dataclass
class Twins:
    """The runs of a comparison.

    Attributes
    ----------
    pooled, federated : list of int
        Run ids, one per seed.
    local : list of list of int
        Run ids of local training, by seed and client; empty unless requested.
    fine_tuned : list of list of int
        The same of the federated models that were trained on at each client.
    """

    seeds: list[int] = field(default_factory=list)
    pooled: list[int] = field(default_factory=list)
    federated: list[int] = field(default_factory=list)
    local: list[list[int]] = field(default_factory=list)
    fine_tuned: list[list[int]] = field(default_factory=list)


class PooledTwins(Protocol):
    """Pooled twins that several comparisons share."""

    def run_of(self, cfg: Config, *, train: Callable[[Config, RunRow | None], int], wait: bool) -> int | None:
        """A pooled twin: one that another comparison has trained, or one that is trained now.

        Parameters
        ----------
        train : callable
            Trains with the settings that it is given; what is not None is resumed.
        wait : bool
            Wait while another process trains it; without it, None is returned then.
        """
        ...


def train_twins(
    cfg: Config,
    *,
    runner: Runner,
    store: Store,
    home: Home,
    parent_id: int,
    board: Board,
    pooled_twins: PooledTwins | None = None,
) -> Twins:
    """Train all twins on the same data, split and seed, for the same number of examples.

    Parameters
    ----------
    runner : Runner
        Of the federated twins.
    parent_id : int
        The comparison's run.
    pooled_twins : PooledTwins, optional
        Where other comparisons may have the same pooled twins.
    """
    learner = learner_of(cfg)
    data, read = read_data(learner, cache=home.cache, progress=cfg.trainer.progress)
    store.runs.update(parent_id, summary={DATA: read.as_dict()})
    twins = Twins(seeds=list(cfg.compare.seeds or (cfg.seed,)))
    trained = Trained(store, parent_id)
    planned = {seed: for_seed(cfg, seed=seed, parent_id=parent_id, data=data) for seed in twins.seeds}
    _tell(cfg, [budget for _, budget in planned.values()])
    shares = {seed: (own, _parts(own, data)) for seed, (own, _) in planned.items()}
    check_before_training(shares, learner=learner, data=data, home=home, run_id=parent_id)
    for seed, (own, _) in planned.items():
        suffix = f" (seed {seed})" if len(twins.seeds) > 1 else ""
        fit = partial(_train, store=store, home=home, board=board, label=f"pooled{suffix}")
        if pooled_twins is None:
            pooled: int | None = fit(own, trained.find("centralized", seed=seed))
        else:
            pooled = pooled_twins.run_of(own, train=fit, wait=False)
        before = trained.find("federated", seed=seed)
        if is_done(before, own, length="federation.num_rounds"):
            twins.federated.append(before.id)
        else:
            follow = board.follow_rounds(store, f"federated{suffix}", total=own.federation.num_rounds)
            begun = own if before is None else own.replace("tracking", run_id=before.id)
            twins.federated.append(
                runner.federate(begun, store=store, home=home, resume=before is not None, follow=follow)
            )
        if pooled_twins is not None:
            pooled = pooled or pooled_twins.run_of(own, train=fit, wait=True)
        assert pooled is not None, "it was waited for"
        twins.pooled.append(pooled)
        if pooled_twins is not None:
            store.runs.update(parent_id, summary={BORROWED: twins.pooled})
        if cfg.compare.local_only:
            names = client_names(data, cfg=own.shares, num_partitions=own.federation.num_clients)
            parts = partition(data, cfg=own.shares, num_partitions=own.federation.num_clients)
            subsets = [
                Subset(partition_id=client_id, indices=indices, name=name)
                for client_id, (name, indices) in enumerate(zip(names, parts, strict=True))
            ]
            twins.local.append(
                [
                    _train(
                        own.replace("", name=f"{own.name}-{subset.name}"),
                        trained.find("local", seed=seed, name=f"{own.name}-{subset.name}"),
                        store=store,
                        home=home,
                        board=board,
                        label=f"local, {subset.name}{suffix}",
                        subset=subset,
                    )
                    for subset in subsets
                ]
            )
            if cfg.compare.fine_tune:
                federated = store.runs.get(twins.federated[-1])
                twins.fine_tuned.append(
                    [
                        _fine_tune(own, subset, federated, trained, store=store, home=home, board=board)
                        for subset in subsets
                    ]
                )
    return twins


def _fine_tune(
    cfg: Config, subset: Subset, federated: RunRow, trained: Trained, *, store: Store, home: Home, board: Board
) -> int:
    """Train the federated model on, on one client's rows, as a run like that of the client alone."""
    name = f"{cfg.name}-{subset.name}-fine-tuned"
    before = trained.find("local", seed=cfg.seed, name=name)
    if before is not None and (federated.ended is None or before.started < federated.ended):
        before = None  # of a federation that was trained on since
    path = home.run_dir(federated.id) / CHECKPOINTS / f"{cfg.trainer.test_model}.safetensors"
    return _train(
        cfg.replace("", name=name).replace("trainer", max_epochs=cfg.compare.fine_tune),
        before,
        store=store,
        home=home,
        board=board,
        label=f"fine-tuned, {subset.name}, seed {cfg.seed}",
        subset=replace(
            subset,
            begin_with=StartingModel(
                federated.id, agreed=federated.summary.get("agreed") or {}, weights=load_checkpoint(path)[0]
            ),
        ),
    )


class Trained:
    """The runs that a comparison which is resumed has trained, or begun to train.

    Raises
    ------
    TrackingError
        One of them is still running.
    """

    def __init__(self, store: Store, parent_id: int) -> None:
        self.runs = store.runs.children(parent_id)
        if running := [run for run in self.runs if not run.finished]:
            one = running[0]
            raise TrackingError(f"run {one.id} is still {one.status} (process {one.pid} on {one.host})")

    def find(self, mode: str, *, seed: int, name: str | None = None) -> RunRow | None:
        """The newest run of a twin; None where it was never begun."""
        own = [run for run in self.runs if (run.training_mode, run.seed) == (mode, seed)]
        return next((run for run in reversed(own) if name in (None, run.name)), None)


def is_done(run: RunRow | None, cfg: Config, *, length: str) -> TypeGuard[RunRow]:
    """Whether a stored twin is complete, and as long as it is to be.

    Parameters
    ----------
    length : str
        The setting that says how long it is.
    """
    if run is None or run.status != "completed":
        return False
    section, name = length.split(".")
    return bool(run.config[section][name] == cfg.snapshot()[section][name])


def for_seed(cfg: Config, *, seed: int, parent_id: int, data: Dataset) -> tuple[Config, Budget]:
    """The configuration of one seed's twins, and the number of training examples of both.

    Early stopping is off, and the pooled twin trains for as many epochs as come closest to the number of
    examples of all clients that the server will sample.

    Parameters
    ----------
    data : Dataset
        What is shared out among the clients.
    """
    stopping = {**cfg.trainer.early_stopping.model_dump(), "enabled": False}
    cfg = cfg.replace("trainer", early_stopping=stopping, progress=False)
    cfg = cfg.replace("federation", early_stopping=False)
    cfg = cfg.replace("tracking", parent_id=parent_id, run_id=None)
    cfg = cfg.replace("", seed=seed)
    budget = plan(cfg, sizes=_sizes(cfg, data), rows=len(data.indices("train")))
    return cfg.replace("trainer", max_epochs=budget.epochs), budget


def _tell(cfg: Config, budgets: Sequence[Budget]) -> None:
    lines = [describe(cfg, budget) for budget in budgets]
    lines += [f"warning: {text}" for text in warn_one_sided(cfg)]
    lines += [f"warning: {budget.problem}" for budget in budgets if budget.problem]
    for line in dict.fromkeys(lines):  # seeds mostly have the same
        print(line, file=sys.stdout if in_notebook() else sys.stderr)  # the latter is red there


def _sizes(cfg: Config, data: Dataset) -> list[int] | None:
    parts = _parts(cfg, data)
    return None if parts is None else [len(data.rows("train", own)) for own in parts]


def _parts(cfg: Config, data: Dataset) -> list[Ints] | None:
    if cfg.federation.kit is not None:
        return None  # sites may have data of their own
    return partition(data, cfg=cfg.shares, num_partitions=cfg.federation.num_clients)


def _train(
    cfg: Config,
    before: RunRow | None,
    *,
    store: Store,
    home: Home,
    board: Board,
    label: str,
    subset: Subset | None = None,
) -> int:
    if is_done(before, cfg, length="trainer.max_epochs"):
        return before.id
    on_epoch = board.task(label, total=cfg.trainer.max_epochs)
    if before is not None:
        cfg = cfg.replace("tracking", run_id=before.id)
    return train(cfg, store=store, home=home, subset=subset, on_epoch=on_epoch, resume=before is not None)
