"""Cohort benchmark: many small clients trained as one batched model, compared with one after the other.

python -m benchmarks.cohort --data pneumoniamnist.npz
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from benchmarks.speed import machine
from benchmarks.speed.task import read_images
from benchmarks.speed.workloads import WORKLOADS, Workload
from shared.config.compose import compose
from shared.config.config import Config
from shared.data.images.datamodule import ImageDataModule
from shared.metrics.point import MetricPoint
from shared.model.backbones import build_network
from shared.tasks.base import FitContext
from shared.tasks.task import learner_of
from shared.training.collector import MetricsCollector
from shared.training.minimal_loop import LeanTrainer

PASSES = 8  # the first is not counted: it warms up
COHORTS = {"W": 10, "W3": 10, "W4": 100}  # clients of a round
Weights = dict[str, Tensor]


def one_by_one(network: nn.Module, images: Tensor, labels: Tensor, *, workload: Workload) -> Weights:
    """Train each client from the same weights, one after the other.

    Parameters
    ----------
    network : nn.Module
        With the global weights, which it has afterwards, too.
    images : Tensor [K, n, C, H, W], float32
        Of K clients.
    labels : Tensor [K, n], int64
    workload : Workload
        Its batch, rate and momentum.

    Returns
    -------
    dict of str to Tensor
        Parameters of all clients, [K, ...].
    """
    start = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    trained = []
    for pixels, truth in zip(images, labels, strict=True):
        network.load_state_dict(start)
        optimizer = torch.optim.SGD(network.parameters(), lr=workload.lr, momentum=workload.momentum)
        for x, y in zip(pixels.split(workload.batch), truth.split(workload.batch), strict=True):
            optimizer.zero_grad()
            functional.cross_entropy(network(x), y).backward()
            optimizer.step()
        trained.append({name: tensor.detach().clone() for name, tensor in network.named_parameters()})
    network.load_state_dict(start)
    return {name: torch.stack([weights[name] for weights in trained]) for name in trained[0]}


def together(network: nn.Module, images: Tensor, labels: Tensor, *, workload: Workload) -> Weights:
    """Train all clients at once: `torch.func.vmap` over weights and batches.

    Parameters
    ----------
    network, images, labels, workload
        As for `one_by_one`.

    Returns
    -------
    dict of str to Tensor
        Parameters of all clients, [K, ...].
    """
    count = len(images)
    weights = {
        name: tensor.detach().expand(count, *tensor.shape).clone()
        for name, tensor in network.named_parameters()
    }
    optimizer = torch.optim.SGD(list(weights.values()), lr=workload.lr, momentum=workload.momentum)

    def loss(own: Weights, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(network, own, (x,)), y)

    batches = zip(images.split(workload.batch, dim=1), labels.split(workload.batch, dim=1), strict=True)
    for x, y in batches:
        for name, gradient in vmap(grad(loss))(weights, x, y).items():
            weights[name].grad = gradient
        optimizer.step()
    return weights


class _Nowhere:
    def add(self, points: Sequence[MetricPoint]) -> None:
        """Drop points."""


def _fits(cfg: Config, rows: Tensor, cache: Path) -> Callable[[], object]:
    learner = learner_of(cfg)
    data = learner.dataset(cache=cache)
    train = torch.from_numpy(data.indices("train").copy())
    modules = [
        ImageDataModule(data, cfg=cfg.data, seed=cfg.seed, indices=train[own].sort().values.numpy())
        for own in rows.cpu()
    ]
    module, trainer = learner.module(data.schema, FitContext()), LeanTrainer(cfg.trainer)

    def run() -> None:
        for datamodule in modules:
            callbacks = [MetricsCollector(_Nowhere(), round=1, client_id=0)]
            trainer.fit(module, datamodule=datamodule, max_epochs=1, callbacks=callbacks)

    return run


def _milliseconds(run: Callable[[], object], clients: int, device: torch.device) -> list[float]:
    found = []
    for _ in range(PASSES):
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append((time.perf_counter() - began) * 1000 / clients)
    return found[1:]


def _measure(workload: Workload, *, data: Path, accelerator: str, cache: Path) -> str:
    device = torch.device("cpu" if accelerator == "cpu" else "cuda")
    cfg = compose([*workload.overrides(str(data)), f"trainer.accelerator={accelerator}"])
    clients = COHORTS[workload.name]
    every, truth = (tensor.to(device) for tensor in read_images(data, "train"))
    each = workload.images or len(every) // workload.clients
    rows = torch.randperm(len(every), generator=torch.Generator().manual_seed(1))[: clients * each].view(
        clients, each
    )
    images, labels = every[rows.to(device)], truth[rows.to(device)]
    network = build_network(cfg, num_outputs=2).to(device)
    apart, at_once = (train(network, images, labels, workload=workload) for train in (one_by_one, together))
    difference = max(float((apart[name] - at_once[name]).abs().max()) for name in apart)
    ways: list[Callable[[], object]] = [
        _fits(cfg, rows, cache),
        lambda: one_by_one(network, images, labels, workload=workload),
        lambda: together(network, images, labels, workload=workload),
    ]
    cells = []
    for run in ways:
        found = _milliseconds(run, clients, device)
        cells.append(f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")
    return f"| {workload.name} | {clients} | {each} | {' | '.join(cells)} | {difference:.0e} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table in Markdown.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cohort", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="PneumoniaMNIST's .npz (28 x 28)")
    parser.add_argument("--accelerator", default="cpu", choices=("cpu", "gpu"))
    options = parser.parse_args(arguments)
    if options.accelerator == "gpu" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here")
    if not options.data.is_file():
        parser.error(f"there is no file {options.data}")
    torch.set_num_threads(1)
    device = torch.cuda.get_device_name() if options.accelerator == "gpu" else "no GPU, one thread"
    print(f"{time.strftime('%Y-%m-%d', time.gmtime())}, {device}, {machine.line(machine.describe())}\n")
    print("| | clients | images per client | a client's fit, ms | steps only | batched | difference |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="fedtwin-cohort-") as folder:
        for name in COHORTS:
            line = _measure(
                WORKLOADS[name], data=options.data, accelerator=options.accelerator, cache=Path(folder)
            )
            print(line, flush=True)


if __name__ == "__main__":
    main()
