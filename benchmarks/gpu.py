"""GPU benchmark: seconds per epoch or round of several training methods, as a Markdown table.

python -m benchmarks.gpu --data pneumoniamnist.npz
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional

from benchmarks.speed import machine
from benchmarks.speed.task import build_model, read_images
from benchmarks.speed.workloads import WORKLOADS, Workload
from centralized.train import train
from shared.config.compose import compose
from shared.config.config import Config
from shared.data.images.datamodule import ImageDataModule
from shared.runtime.home import Home
from shared.tasks.base import FitContext
from shared.tasks.task import learner_of
from shared.tracking.store import Store
from shared.training.minimal_loop import LeanTrainer
from simulations.runner import open_runner

PASSES = 4  # over all rows; the first is not counted: it warms up
BATCHES = (32, 256)
WORKERS = (1, 2, 4, 8)
PRECISIONS = ("32-true", "bf16-mixed")


# From batch and precision to the seconds of each pass, and the gigabytes held at the end.
Measure = Callable[[int, str], tuple[list[float], float]]


@dataclass(frozen=True)
class Row:
    """One way to train, on one workload.

    Attributes
    ----------
    seconds : list of float
        Of each pass over the training rows.
    gigabytes : float
        Of the GPU's memory that all processes held at the end, contexts and caches included.
    """

    way: str
    batch: int
    precision: str
    seconds: list[float]
    gigabytes: float

    def markdown(self) -> str:
        """A line of the table."""
        counted = self.seconds[1:]
        return (
            f"| {self.way} | {self.batch} | {self.precision} | {statistics.median(counted):.2f} "
            f"({min(counted):.2f} to {max(counted):.2f}) | {self.seconds[0]:.1f} | {self.gigabytes:.1f} |"
        )


class Ways:
    """The ways to train one workload.

    Parameters
    ----------
    data : Path
        PneumoniaMNIST.
    accelerator : str
        Lightning's name of the device.
    home : Home
        Of runs that are thrown away.
    only : str
        Part of the names of the ways that are measured.
    """

    def __init__(self, workload: Workload, *, data: Path, accelerator: str, home: Home, only: str = "") -> None:
        self.workload, self.data, self.home, self.accelerator = workload, data, home, accelerator
        self.only = only
        self.device = torch.device("cpu" if accelerator == "cpu" else "cuda")

    def rows(self) -> Iterator[Row]:
        """Train in each way, one after the other."""
        for way, batch, precision, measure in self._ways():
            if self.only in way:
                seconds, gigabytes = measure(batch, precision)
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                yield Row(way, batch, precision, seconds, gigabytes)

    def _ways(self) -> Iterator[tuple[str, int, str, Measure]]:
        for batch in BATCHES:
            for precision in PRECISIONS:
                yield "bare loop, images on the GPU", batch, precision, self._bare
                yield "a client's fit", batch, precision, self._fit
            yield "bare loop, `torch.compile`", batch, PRECISIONS[0], partial(self._bare, compiled=True)
        yield "`fedtwin centralized`", BATCHES[0], PRECISIONS[0], self._centralized
        for workers in WORKERS:
            way = f"`fedtwin simulate`, 10 clients, {workers} in parallel"
            yield way, BATCHES[0], PRECISIONS[0], partial(self._simulate, workers=workers)

    def _config(self, batch: int, precision: str, *more: str) -> Config:
        own = [f"data.batch_size={batch}", f"trainer.accelerator={self.accelerator}"]
        return compose(
            [*self.workload.overrides(str(self.data)), *own, f"trainer.precision={precision}", *more]
        )

    def _bare(self, batch: int, precision: str, *, compiled: bool = False) -> tuple[list[float], float]:
        images, labels = (tensor.to(self.device) for tensor in read_images(self.data, "train"))
        model = build_model(self.workload.model).to(self.device)
        if compiled:
            model.compile()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

        def epoch() -> None:
            for rows in torch.randperm(len(images), device=self.device).split(batch):
                optimizer.zero_grad()
                with torch.autocast(self.device.type, torch.bfloat16, enabled=precision != PRECISIONS[0]):
                    loss = functional.cross_entropy(model(images[rows]), labels[rows])
                loss.backward()
                optimizer.step()

        return self._timed(epoch), self._memory()

    def _fit(self, batch: int, precision: str) -> tuple[list[float], float]:
        cfg = self._config(batch, precision)
        learner = learner_of(cfg)
        data = learner.dataset(cache=self.home.cache)
        datamodule = ImageDataModule(data, cfg=cfg.data, seed=cfg.seed)
        module, trainer = learner.module(data.schema, FitContext()), LeanTrainer(cfg.trainer)
        return self._timed(lambda: trainer.fit(module, datamodule=datamodule, max_epochs=1)), self._memory()

    def _centralized(self, batch: int, precision: str) -> tuple[list[float], float]:
        cfg = self._config(batch, precision, f"trainer.max_epochs={PASSES}", "trainer.progress=false")
        with Store(self.home.database_url) as store:
            run_id = train(cfg, store=store, home=self.home)
            found = [
                row for row in store.metrics.of_run(run_id) if (row.stage, row.name) == ("train", "seconds")
            ]
            return [row.value for row in found], self._memory()

    def _simulate(self, batch: int, precision: str, *, workers: int) -> tuple[list[float], float]:
        more = [f"federation.num_rounds={PASSES}", f"federation.workers={workers}"]
        cfg = self._config(batch, precision, *more)
        with open_runner(cfg, home=self.home) as runner, Store(self.home.database_url) as store:
            run_id = runner.federate(cfg, store=store, home=self.home)
            return [row.seconds for row in store.rounds.of_run(run_id)], self._memory()

    def _timed(self, epoch: Callable[[], None]) -> list[float]:
        seconds = []
        for _ in range(PASSES):
            began = time.perf_counter()
            epoch()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
        return seconds

    def _memory(self) -> float:
        if self.device.type == "cpu":
            return 0.0
        free, total = torch.cuda.mem_get_info()
        return (total - free) / 1e9


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="PneumoniaMNIST's .npz (28 x 28)")
    parser.add_argument("--workloads", default="W,W2", help=f"some of {', '.join(WORKLOADS)}")
    parser.add_argument("--only", default="", metavar="TEXT", help="only ways with this in their name")
    parser.add_argument("--accelerator", default="gpu", choices=("gpu", "cpu"), help="cpu: to try this program")
    options = parser.parse_args(arguments)
    names = options.workloads.split(",")
    if unknown := [name for name in names if name not in WORKLOADS]:
        parser.error(f"--workloads: there is no {', '.join(unknown)}; choose from {', '.join(WORKLOADS)}")
    if options.accelerator == "gpu" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; --accelerator cpu tries the program without one")
    torch.set_num_threads(1)
    device = torch.cuda.get_device_name() if options.accelerator == "gpu" else "no GPU"
    print(
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {device}, {machine.line(machine.describe())}", flush=True
    )
    with tempfile.TemporaryDirectory(prefix="fedtwin-gpu-") as folder:
        os.environ["FEDTWIN_HOME"] = folder  # of the clients' processes
        home = Home(root=Path(folder), database_url=f"sqlite:///{folder}/fedtwin.db")
        for name in names:
            workload = WORKLOADS[name]
            print(f"\n{name}: {workload.describe()}\n")
            print("| method | batch | precision | seconds per pass (spread) | first pass | GPU memory, GB |")
            print("|---|---|---|---|---|---|")
            ways = Ways(
                workload, data=options.data, accelerator=options.accelerator, home=home, only=options.only
            )
            for row in ways.rows():
                print(row.markdown(), flush=True)


if __name__ == "__main__":
    main()
