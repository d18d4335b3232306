"""The Hydra apps: ``compare``, ``centralized``, ``simulate``, ``federated`` and ``partition``."""

from __future__ import annotations

import shlex
from typing import Literal

from hydra.core.hydra_config import HydraConfig

from fedtwin.cli.hydra_app import hydra_app
from shared.config.config import Config

# Imports stand in the functions: --help, --cfg and invalid settings do without them.


@hydra_app
def compare(cfg: Config) -> None:
    """Train the twins and print the federated gap."""
    from rich.console import Console

    from shared.runtime.home import open_home
    from shared.tracking.store import Store
    from simulations.execute import execute
    from simulations.report.terminal import print_comparison

    home = open_home(cfg.tracking)
    command = shlex.join(["fedtwin", "compare", *HydraConfig.get().overrides.task])
    with Store(home.database_url) as store:
        run_id = execute(cfg, "compare", store=store, home=home, command=command)
        print_comparison(Console(), run_id, store=store, home=home)


@hydra_app
def centralized(cfg: Config) -> None:
    """Train on pooled data."""
    _train(cfg, "centralized")


@hydra_app
def simulate(cfg: Config) -> None:
    """Train federated, with processes of this machine."""
    _train(cfg, "federated")


@hydra_app
def federated(cfg: Config) -> None:
    """Train federated, in a simulation on this machine or among the sites of a deployment."""
    _train(cfg.replace("federation", engine="flower"), "federated")


@hydra_app
def partition(cfg: Config) -> None:
    """Print the label counts of every client, and draw them, without training."""
    from rich.console import Console

    from shared.data.images.dataset import load_images
    from shared.data.partition.partition import counts_table, label_counts, partition_images
    from shared.runtime.home import open_home
    from simulations.report.comparison_figures import label_distribution, save

    home = open_home(cfg.tracking)
    data = load_images(cfg.data, cache_dir=home.cache, progress=cfg.trainer.progress)
    parts = partition_images(data, cfg=cfg.partition, num_partitions=cfg.federation.num_clients)
    counts = label_counts(parts, labels=data.labels, splits=data.splits, num_classes=len(data.classes))
    names = [f"client-{index}" for index in range(len(parts))]
    console = Console()
    console.print(counts_table(counts, classes=data.classes, names=names))
    home.results.mkdir(parents=True, exist_ok=True)
    path = home.results / f"partition_{data.fingerprint[:8]}_{cfg.partition.name}_{cfg.partition.seed}.png"
    save(label_distribution(counts, data.classes, names), path)
    console.print(f"figure  {path}", soft_wrap=True)


def _train(cfg: Config, mode: Literal["centralized", "federated"]) -> None:
    from rich.console import Console

    from shared.runtime.home import open_home
    from shared.tracking.show import run_view
    from shared.tracking.store import Store
    from simulations.execute import execute

    home = open_home(cfg.tracking)
    with Store(home.database_url) as store:
        run_id = execute(cfg, mode, store=store, home=home)
        Console().print(run_view(store, run_id))
