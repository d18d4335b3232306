"""`train_twins`: trains the twins of a comparison for every seed: pooled, federated and optionally local."""

from __future__ import annotations

from dataclasses import dataclass, field

from centralized.train import Subset, train
from shared.config.config import Config
from shared.data.partition.partition import partition
from shared.runtime.home import Home
from shared.tasks.task import learner_of
from shared.tracking.progress import Board
from shared.tracking.store import Store
from simulations.runner import Runner


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
    for seed in twins.seeds:
        own = for_seed(cfg, seed=seed, parent_id=parent_id)
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


def for_seed(cfg: Config, *, seed: int, parent_id: int) -> Config:
    """The configuration of one seed's twins.

    Early stopping is off and the pooled twin trains for num_rounds x local_epochs / rounds_per_epoch x
    fraction_train epochs, so that both see the same number of examples.
    """
    federation = cfg.federation
    passes = federation.num_rounds * federation.local_epochs / federation.rounds_per_epoch
    epochs = max(1, round(passes * cfg.strategy.fraction_train))
    stopping = {**cfg.trainer.early_stopping.model_dump(), "enabled": False}
    cfg = cfg.replace("trainer", max_epochs=epochs, early_stopping=stopping, progress=False)
    cfg = cfg.replace("federation", early_stopping=False)
    if cfg.partition.seed == cfg.seed:  # not set separately: the partition follows the seed
        cfg = cfg.replace("partition", seed=seed)
    cfg = cfg.replace("tracking", parent_id=parent_id, run_id=None)
    return cfg.replace("", seed=seed)


def _train(
    cfg: Config, *, store: Store, home: Home, board: Board, label: str, subset: Subset | None = None
) -> int:
    on_epoch = board.task(label, total=cfg.trainer.max_epochs)
    return train(cfg, store=store, home=home, subset=subset, on_epoch=on_epoch)
