"""The Hydra apps: ``compare``, ``centralized``, ``simulate``, ``federated`` and ``partition``."""

from __future__ import annotations

import shlex
from typing import Literal

from hydra.core.hydra_config import HydraConfig

from fedtwin.cli.hydra_app import hydra_app
from shared.config.config import Config
from shared.runtime.counts import count_of
from shared.runtime.errors import ConfigError
from shared.runtime.secrets import without_secrets
from shared.runtime.waiting import waiting

# Imports stand in the functions: --help, --cfg and invalid settings do without them.


@hydra_app
def compare(cfg: Config) -> int:
    """Train the twins and print the federated gap."""
    with waiting("opening the database"):
        from rich.console import Console

        from shared.runtime.home import open_home
        from shared.tracking.store import Store
        from simulations.execute import execute
        from simulations.report.terminal import print_comparison

        home = open_home(cfg.tracking)
    command = shlex.join(["fedtwin", "compare", *without_secrets(list(HydraConfig.get().overrides.task))])
    with Store(home.database_url) as store:
        store.runs.settle(home.journals)
        run_id = execute(cfg, "compare", store=store, home=home, command=command)
        print_comparison(Console(), run_id, store=store, home=home)
    return run_id


@hydra_app
def centralized(cfg: Config) -> int:
    """Train the pooled baseline."""
    return _train(cfg, "centralized")


@hydra_app
def simulate(cfg: Config) -> int:
    """Train federated, with processes of this machine."""
    return _train(cfg, "federated")


@hydra_app
def federated(cfg: Config) -> int:
    """Train federated, in a simulation on this machine or among the sites of a deployment."""
    if "federation.engine=local" in HydraConfig.get().overrides.task:
        raise ConfigError(
            "federation.engine=local has no effect on fedtwin federated, which uses Flower; use "
            "fedtwin simulate"
        )
    return _train(cfg.replace("federation", engine="flower"), "federated")


@hydra_app
def partition(cfg: Config) -> None:
    """Print and draw how the training rows are divided among the clients, without training."""
    with waiting("loading PyTorch and Matplotlib"):
        import shared.runtime.fast_imports  # noqa: F401 - before what it imports

        from rich.console import Console

        from shared.data.partition.partition import client_names
        from shared.data.partition.partition import partition as share_out
        from shared.data.profile import count_tables, span_tables
        from shared.runtime.home import open_home
        from shared.tasks.reading import read_data
        from shared.tasks.task import learner_of
        from simulations.report.client_figures import value_distribution, value_spans
        from simulations.report.comparison_figures import save
        from simulations.report.count_text import count_text, span_text

        home = open_home(cfg.tracking)
        learner = learner_of(cfg)
    data, _ = read_data(learner, cache=home.cache, progress=cfg.trainer.progress)
    spec = learner.spec(data.schema)
    parts = share_out(data, cfg=cfg.shares, num_partitions=cfg.federation.num_clients)
    rows = [data.rows("train", part) for part in parts]
    profiles = [spec.profile(data, own) for own in rows]
    names, sizes = client_names(data, cfg=cfg.shares, num_partitions=len(parts)), [len(own) for own in rows]
    counts = count_tables(profiles, clients=names, sizes=sizes)
    spans = span_tables(profiles, clients=names, sizes=sizes)
    shown = [(count_text(table), value_distribution(table)) for table in counts]
    shown += [(span_text(table), value_spans(table)) for table in spans]
    console = Console()
    if not shown:  # the task tells nothing of its rows but their number
        console.print(
            "\n".join(f"{name}  {count_of(size, 'row')}" for name, size in zip(names, sizes, strict=True))
        )
    home.results.mkdir(parents=True, exist_ok=True)
    for number, (text, figure) in enumerate(shown):
        console.print(text)
        about = f"{data.fingerprint[:8]}_{cfg.partition.name}_{cfg.shares.seed}{number or ''}"
        path = home.results / f"partition_{about}.png"
        save(figure, path)
        console.print(f"figure  {path}", soft_wrap=True)


def _train(cfg: Config, mode: Literal["centralized", "federated"]) -> int:
    with waiting("opening the database"):
        from rich.console import Console

        from fedtwin.cli.run_page import run_page
        from shared.runtime.home import open_home
        from shared.tracking.store import Store
        from simulations.execute import execute

        home = open_home(cfg.tracking)
    with Store(home.database_url) as store:
        store.runs.settle(home.journals)
        run_id = execute(cfg, mode, store=store, home=home)
        Console().print(run_page(store, run_id))
    return run_id
