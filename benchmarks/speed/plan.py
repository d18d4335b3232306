"""Draws a `Plan` with fedtwin's code, so that all systems use the same partitions and initial weights.

A program of its own: the benchmark never imports torch, whose pages it would share with what it measures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.speed.handover import Plan, Task
from benchmarks.speed.workloads import Workload
from federated.strategy.server_half import SAMPLE_TRAIN, sample
from shared.config.compose import compose
from shared.data.batches import EpochSampler
from shared.data.partition.partition import partition
from shared.model.backbones import build_network
from shared.runtime.seeding import derive_seed
from shared.tasks.task import learner_of


def make_plan(workload: Workload, *, data: Path, cache: Path) -> Plan:
    """Draw what `fedtwin` draws at the same settings.

    Parameters
    ----------
    data : Path
        Of `images.data_of`.
    cache : Path
        Takes the decoded images.

    Returns
    -------
    Plan
        Rows are counted among the training rows of the file.
    """
    cfg = compose(workload.overrides(str(data)))
    images = learner_of(cfg).dataset(cache=cache)
    train = images.indices("train")
    with np.load(data) as stored:
        assert np.array_equal(images.images[train][:, 0], stored["train_images"]), (
            "rows are in the file's order"
        )
    parts = partition(images, cfg=cfg.shares, num_partitions=workload.clients)
    places = [np.searchsorted(train, np.intersect1d(train, part)) for part in parts]
    owner = np.empty(len(train), dtype=np.int64)
    for client, rows in enumerate(places):
        owner[rows] = client
    orders = []
    for number in range(workload.rounds):
        seed = derive_seed(cfg.seed, SAMPLE_TRAIN, number + 1)
        chosen = sample(range(workload.clients), count=workload.sampled, seed=seed)
        orders.append(
            [
                places[client][
                    EpochSampler(
                        len(places[client]), seed=cfg.seed, partition_id=client, epoch_offset=number
                    ).order()
                ]
                for client in chosen
            ]
        )
    state = build_network(cfg, num_outputs=len(images.schema.classes)).state_dict()
    return Plan(owner=owner, orders=orders, weights=[tensor.contiguous().numpy() for tensor in state.values()])


def main() -> None:
    """Draw the plan of the task, and write it where the task says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="takes the decoded images")
    options = parser.parse_args()
    task = Task.read()
    make_plan(task.workload, data=Path(task.data), cache=options.cache).save(Path(task.plan))


if __name__ == "__main__":
    main()
