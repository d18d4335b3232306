"""`train_twins`: trains the twins of a comparison for every seed: pooled, federated and optionally local."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from centralized.train import Subset, train
from shared.config.config import Config
from shared.data.dataset import Dataset
from shared.data.partition.partition import partition
from shared.runtime.home import Home
from shared.runtime.notebook import in_notebook
from shared.tasks.task import learner_of
from shared.tracking.progress import Board
from shared.tracking.store import Store
from simulations.budget import Budget, plan
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
    """

    seeds: list[int] = field(default_factory=list)
    pooled: list[int] = field(default_factory=list)
    federated: list[int] = field(default_factory=list)
    local: list[list[int]] = field(default_factory=list)


def train_twins(
    cfg: Config, *, runner: Runner, store: Store, home: Home, parent_id: int, board: Board
) -> Twins:
    """Train all twins on the same data, split and seed, for the same number of examples.

    Parameters
    ----------
    runner : Runner
        Of the federated twins.
    parent_id : int
        The comparison's run.
    """
    data = learner_of(cfg).dataset(cache=home.cache, progress=cfg.trainer.progress)
    twins = Twins(seeds=list(cfg.compare.seeds or (cfg.seed,)))
    planned = {seed: for_seed(cfg, seed=seed, parent_id=parent_id, data=data) for seed in twins.seeds}
    _tell(cfg, [budget for _, budget in planned.values()])
    for seed, (own, _) in planned.items():
        suffix = f" (seed {seed})" if len(twins.seeds) > 1 else ""
        twins.pooled.append(_train(own, store=store, home=home, board=board, label=f"pooled{suffix}"))
        follow = board.follow_rounds(store, f"federated{suffix}", total=own.federation.num_rounds)
        twins.federated.append(runner.federate(own, store=store, home=home, on_poll=follow))
        if cfg.compare.local_only:
            parts = partition(data, cfg=own.partition, num_partitions=own.federation.num_clients)
            twins.local.append(
                [
                    _train(
                        own.replace("", name=f"{own.name}-client-{client_id}"),
                        store=store,
                        home=home,
                        board=board,
                        label=f"local, client {client_id}{suffix}",
                        subset=Subset(partition_id=client_id, indices=indices),
                    )
                    for client_id, indices in enumerate(parts)
                ]
            )
    return twins


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
    if cfg.partition.seed == cfg.seed:  # not set separately: the partition follows the seed
        cfg = cfg.replace("partition", seed=seed)
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
    if cfg.federation.kit is not None:
        return None  # sites may have data of their own
    parts = partition(data, cfg=cfg.partition, num_partitions=cfg.federation.num_clients)
    return [len(data.rows("train", own)) for own in parts]


def _train(
    cfg: Config, *, store: Store, home: Home, board: Board, label: str, subset: Subset | None = None
) -> int:
    on_epoch = board.task(label, total=cfg.trainer.max_epochs)
    return train(cfg, store=store, home=home, subset=subset, on_epoch=on_epoch)
