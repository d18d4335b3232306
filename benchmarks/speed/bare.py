"""The bare loop: hand-written federated averaging in PyTorch, in one or several processes."""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.handover import Plan, Task
from benchmarks.speed.task import build_model, evaluate, read_images, set_weights

Rows = np.ndarray
Train = Callable[[Iterable[Rows]], Iterable[list[np.ndarray]]]

_client: Client | None = None  # of a forked process


class Client:
    """Trains on the rows of whichever client it is given.

    Parameters
    ----------
    images : Tensor [N, 1, H, W], float32
    labels : Tensor [N], int64
    weights : list of Tensor
        The global ones; whoever owns them changes them in place.
    """

    def __init__(
        self, task: Task, *, model: nn.Module, images: Tensor, labels: Tensor, weights: list[Tensor]
    ) -> None:
        self.task, self.model, self.images, self.labels = task, model, images, labels
        self.weights = weights

    def train(self, rows: Rows) -> list[np.ndarray]:
        """One epoch from the global weights.

        Parameters
        ----------
        rows : ndarray [n], int64
            In the order in which they are seen.

        Returns
        -------
        list of ndarray
            The new weights.
        """
        workload, model = self.task.workload, self.model
        copy_weights(self.weights, model)
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=workload.lr, momentum=workload.momentum)
        for batch in torch.from_numpy(rows).split(workload.batch):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(self.images[batch]), self.labels[batch])
            loss.backward()
            optimizer.step()
        return [tensor.detach().numpy().copy() for tensor in model.state_dict().values()]


def copy_weights(weights: Iterable[Tensor], model: nn.Module) -> None:
    """Set a network's weights."""
    for own, new in zip(model.state_dict().values(), weights, strict=True):
        own.copy_(new)


def average(replies: Iterable[list[np.ndarray]], *, counts: list[int], weights: list[Tensor]) -> None:
    """The mean of the clients' weights, by their examples, into the global ones.

    Parameters
    ----------
    replies : iterable of list of ndarray
        By client.
    counts : list of int
        Examples of each client.
    weights : list of Tensor
        Changed in place.
    """
    sums = [torch.zeros_like(tensor, dtype=torch.float32) for tensor in weights]
    for reply, count in zip(replies, counts, strict=True):
        for total, array in zip(sums, reply, strict=True):
            total += torch.from_numpy(array) * (count / sum(counts))
    for tensor, total in zip(weights, sums, strict=True):
        tensor.copy_(total)


@contextmanager
def trainers(client: Client, *, processes: int) -> Iterator[Train]:
    """The function that trains clients, in this process or in forked ones.

    Yields
    ------
    callable
        From rows of clients to their weights, in order.
    """
    global _client
    if processes == 1:
        yield lambda rows: map(client.train, rows)
        return
    _client = client
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield lambda rows: pool.imap(_train_forked, rows)


def _train_forked(rows: Rows) -> list[np.ndarray]:
    assert _client is not None
    return _client.train(rows)


def main() -> None:
    """Train as the task says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--save", type=Path, help="takes the final weights, as .npz")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = Task.read()
    plan = Plan.load(task.plan)
    (images, labels), test = (read_images(task.data, side) for side in ("train", "test"))
    model = build_model(task.workload.model)
    set_weights(model, plan)
    weights = [tensor.clone() for tensor in model.state_dict().values()]
    if options.processes > 1:
        weights = [tensor.share_memory_() for tensor in weights]
    client = Client(task, model=model, images=images, labels=labels, weights=weights)
    with trainers(client, processes=options.processes) as train:
        loss, auc = evaluate(model, *test)
        task.mark(0, loss=loss, auc=auc)
        for number, clients in enumerate(plan.orders, start=1):
            average(train(clients), counts=[len(rows) for rows in clients], weights=weights)
            copy_weights(weights, model)
            loss, auc = evaluate(model, *test)
            task.mark(number, loss=loss, auc=auc)
    if options.save:
        np.savez(options.save, *(tensor.numpy() for tensor in weights))


if __name__ == "__main__":
    main()
