"""`check_before_training`: what would stop a comparison later, found before its first epoch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from torch import nn

from federated.strategy.base import load_algorithm
from shared.config.config import Config
from shared.data.dataset import Dataset, Ints
from shared.data.partition.partition import client_names
from shared.data.profile import Profile
from shared.runtime.errors import ConfigError, FedtwinError, bullet_list
from shared.runtime.home import Home
from shared.tasks.base import FitContext, Learner, TaskSpec
from shared.tasks.selection import choose_monitor
from shared.training.minimal_loop import lean_trainer
from shared.training.trainer import build_trainer

_STATES = 3  # of a checkpoint, in models: the weights, and two means of Adam


def check_before_training(
    planned: Mapping[int, tuple[Config, Sequence[Ints] | None]],
    *,
    learner: Learner,
    data: Dataset,
    home: Home,
    run_id: int,
) -> None:
    """Check the devices, the model, the monitor, each client's rows, and where results are written.

    Parameters
    ----------
    planned : mapping of int to (Config, list of ndarray)
        By seed: the settings of its twins, and the rows of each client; None where only the sites know them.
    run_id : int
        Of the comparison.

    Raises
    ------
    FedtwinError
        Of the first check that fails; what a check finds it names all at once.
    """
    cfg, _ = next(iter(planned.values()))
    if cfg.compare.local_only and cfg.federation.kit is not None:
        raise ConfigError(
            "compare.local_only=true trains on each client's rows on this machine, and those of a deployment "
            "(federation.kit) are at its sites; set compare.local_only=false"
        )
    build_trainer(cfg.trainer, max_epochs=1, callbacks=[])  # of the pooled twin
    lean_trainer(cfg.trainer)  # of a client
    module = learner.module(data.schema, FitContext())
    if cfg.compare.fine_tune and cfg.compare.local_only and getattr(module, "grows", False):
        raise ConfigError(
            f"compare.fine_tune={cfg.compare.fine_tune} trains the federated model's weights on, and a model "
            f"that grows (model.name={cfg.model.name}) has none; set compare.fine_tune=0"
        )
    network = learner.network(module)
    algorithm = load_algorithm(cfg.strategy)
    algorithm.check(cfg)
    algorithm.local_keys(network)
    problems = [
        text for own, parts in planned.values() if parts for text in _of_clients(own, parts, learner, data)
    ]
    if problems:
        raise ConfigError(
            "the clients cannot be trained:\n" + bullet_list(list(dict.fromkeys(problems)), limit=20)
        )
    _check_places(cfg, network, home=home, run_id=run_id, seeds=len(planned))


def _of_clients(cfg: Config, parts: Sequence[Ints], learner: Learner, data: Dataset) -> list[str]:
    names = client_names(data, cfg=cfg.shares, num_partitions=len(parts))
    found, rounds = [], cfg.federation.rounds_per_epoch
    fewest, most = 1 if rounds == 1 else 2 * rounds, cfg.federation.max_examples
    spec = learner.spec(data.schema)
    for name, own in zip(names, parts, strict=True):
        rows = {side: data.rows(side, own) for side in ("train", "val", "test")}
        count = len(rows["train"])
        if not fewest <= count <= most:
            found.append(
                f"{name} has {count} training rows, expected {fewest} to {most} (federation.rounds_per_epoch="
                f"{rounds}, federation.max_examples)"
            )
        if cfg.compare.local_only:
            try:
                choose_monitor(
                    cfg.trainer,
                    spec=spec,
                    profile=partial(_profile, spec, data, rows),
                    num_examples=partial(_count, rows),
                )
            except FedtwinError as error:
                found.append(f"{name} alone (compare.local_only): {error}")
    return found


def _profile(spec: TaskSpec, data: Dataset, rows: Mapping[str, Ints], side: str) -> Profile:
    return spec.profile(data, rows[side])


def _count(rows: Mapping[str, Ints], side: str) -> int:
    return len(rows[side])


def _check_places(cfg: Config, network: nn.Module, *, home: Home, run_id: int, seeds: int) -> None:
    folders = (home.comparison_dir(run_id), home.root / "runs")
    for folder in folders:
        _check_writable(folder)
    alone = cfg.federation.num_clients * (1 + (cfg.compare.fine_tune > 0)) if cfg.compare.local_only else 0
    twins = seeds * (2 + alone)
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    needed = twins * 2 * _STATES * size  # the best and the last checkpoint
    free = shutil.disk_usage(home.root).free
    if needed > free:
        raise ConfigError(
            f"{home.root} has {free / 1e9:.1f} GB free, and the checkpoints of {twins} runs may need "
            f"{needed / 1e9:.1f} GB; make room, or set FEDTWIN_HOME to another disk"
        )


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written to ({error.strerror}), where the results of the comparison belong; "
            "mend this, or set FEDTWIN_HOME to a writable folder"
        ) from None
