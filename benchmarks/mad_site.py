"""One site that scales its updates: what federated averaging reaches, and how far honest updates lie apart.

    python -m benchmarks.mad_site [OVERRIDES] 2>/dev/null

On the built-in digits, in one process: every row is one federation. ``largest`` is how far the longest honest
update lay from what was usual in its round (`NormBound`), which ``federation.max_update_norm`` bounds.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MessageType

from federated.client.app import app
from federated.messages.norm_bound import NormBound
from federated.messages.records import ARRAYS, CONFIG, SERVER_ROUND
from federated.server.app import serve
from federated.strategy.base import load_algorithm
from shared.config.compose import compose
from shared.config.config import Config
from shared.runtime.home import Home, open_home
from shared.tasks.base import FitContext
from shared.tasks.reading import read_data
from shared.tasks.task import learner_of
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid

CLIENTS = 10
SMALL = [
    f"federation.num_clients={CLIENTS}",
    "trainer.accelerator=cpu",
    "trainer.num_threads=1",
    "trainer.test_model=last",
    "trainer.monitor=val/loss",
]
SKEWED = ["partition=dirichlet", "partition.alpha=0.1"]
HONEST = [
    SKEWED,
    [*SKEWED, "federation.num_clients=3"],
    [*SKEWED, "strategy=fedbn", "model.norm=batch"],
    [*SKEWED, "strategy=scaffold", "trainer.optimizer.momentum=0"],
    ["partition=quantity", "partition.sigma=2", "partition.min_examples=1"],
    ["partition=pathological", "partition.classes_per_client=1"],
]
WITHOUT = ["partition=iid"]
EVEN = [*WITHOUT, "federation.max_update_norm=5"]
MAD = [(overrides, factor) for factor in (10.0, -10.0, 100.0) for overrides in (WITHOUT, EVEN)]


class Grid(InProcessGrid):
    """Runs all clients, of which the first may scale its updates, and measures the others'."""

    def __init__(self, *, clients: int, factor: float, trained: Iterable[str]) -> None:
        super().__init__(app, num_clients=clients)
        self.factor, self.bound = factor, NormBound(1e-300, trained=list(trained))
        self.round, self.largest = 0, {"update": 0.0}
        self._measured: list[int] = []

    def _run(self, message: Message) -> Message:
        reply = super()._run(message)
        if message.metadata.message_type != MessageType.TRAIN or reply.has_error():
            return reply
        if (number := message.content.config_records[CONFIG][SERVER_ROUND]) != self.round:
            self.close()
            self.round = int(str(number))
            self.bound.begin(message.content)
        if self.factor == 1:
            self.bound.add(message.metadata.dst_node_id, reply.content)
            self._measured.append(message.metadata.dst_node_id)
        elif self.contexts[message.metadata.dst_node_id].node_config["partition-id"] == 0:
            self._scale(reply, message)
        return reply

    def close(self) -> None:
        """Judge the round."""
        for node in self._measured:
            for part, ratio in self.bound.ratios(node).items():
                self.largest[part] = max(self.largest.get(part, 0.0), ratio)
        self._measured = []

    def _scale(self, reply: Message, message: Message) -> None:
        sent, found = message.content.array_records[ARRAYS], reply.content.array_records[ARRAYS]
        reply.content[ARRAYS] = ArrayRecord(
            {
                key: Array(
                    np.asarray(old.numpy() + self.factor * (found[key].numpy() - old.numpy()), old.dtype)
                )
                for key, old in sent.items()
            }
        )


def trained_keys(cfg: Config) -> list[str]:
    """Keys of the parameters that are trained and averaged."""
    learner = learner_of(cfg)
    data, _ = read_data(learner, cache=open_home().cache, sides=("test",))
    network = learner.network(learner.module(data.schema, FitContext()))
    local = load_algorithm(cfg.strategy).local_keys(network)
    return [name for name, parameter in network.named_parameters() if name not in local]


def federate(overrides: list[str], *, factor: float = 1.0) -> str:
    """One federation, as a row of the table."""
    cfg = compose([*SMALL, *overrides])
    with tempfile.TemporaryDirectory(prefix="fedtwin-mad-") as folder:
        home = Home(root=Path(folder), database_url=f"sqlite:///{folder}/fedtwin.db")
        with Store(home.database_url) as store:
            grid = Grid(clients=cfg.federation.num_clients, factor=factor, trained=trained_keys(cfg))
            run_id = serve(grid, cfg, store=store, home=home, say=lambda line: None)
            grid.close()
            accuracy = [row.metrics["accuracy"] for row in store.evaluations.of_run(run_id)][-1]
            dropped = sum(
                "max_update_norm" in reason
                for row in store.rounds.of_run(run_id)
                for reason in row.failed.values()
            )
    largest = ", ".join(f"{part} {value:.2f}" for part, value in grid.largest.items()) if factor == 1 else ""
    return f"| {' '.join(overrides)} | {factor:g} | {accuracy:.3f} | {dropped} | {largest} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", help="of every federation, such as seed=2")
    more = parser.parse_args().overrides
    logging.getLogger("flwr").setLevel(logging.ERROR)
    print(
        "| settings | factor of client 0 | test accuracy | left out | largest honest |\n|---|---|---|---|---|"
    )
    rows = [(overrides, 1.0) for overrides in HONEST]
    for overrides, factor in [*MAD, *rows]:
        with redirect_stdout(sys.stderr):  # what was read is printed
            row = federate([*overrides, *more], factor=factor)
        print(row, flush=True)


if __name__ == "__main__":
    sys.exit(main())
