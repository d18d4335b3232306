"""Multi-device training: starts and ends one process for each further device of a centralized training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port

from shared.runtime.errors import FedtwinError

READY = "ready\n"  # written by a worker that has loaded the data
GRACE_S = 20


class LocalProcesses(LightningEnvironment):
    """Lightning environment in which we start the processes ourselves.

    Lightning's launcher would repeat the command line in each process, and with it the run row, the other twins
    of a comparison and the final test; our processes start at the fit.

    Parameters
    ----------
    rank : int
        Of this process; 0 is the one the user started.
    port : int, optional
        On which process 0 listens; a free one by default.
    """

    def __init__(self, *, rank: int = 0, port: int | None = None) -> None:
        super().__init__()
        self.rank, self.port = rank, port or find_free_network_port()

    @property
    def creates_processes_externally(self) -> bool:
        """We start the processes, not Lightning."""
        return True

    @property
    def main_address(self) -> str:
        """Address of process 0: this machine."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Port on which process 0 listens."""
        return self.port

    def local_rank(self) -> int:
        """Rank of this process."""
        return self.rank

    def node_rank(self) -> int:
        """0: there is one machine."""
        return 0


@contextmanager
def other_processes(
    trainer: L.Trainer, environment: LocalProcesses, order: Mapping[str, Any]
) -> Iterator[None]:
    """Run `centralized.worker` for every device but the first, for the duration of a block.

    Parameters
    ----------
    trainer : Trainer
        Of this process.
    order : mapping
        Their task, in JSON's types.

    Raises
    ------
    FedtwinError
        A process did not start.
    """
    ranks = range(1, trainer.num_devices) if environment.rank == 0 else ()
    workers = [_start({**order, "rank": rank, "port": environment.port}) for rank in ranks]
    try:
        for worker in workers:
            _await(worker)
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # the test runs in this process only
        for worker in workers:
            _end(worker)


def _start(order: Mapping[str, Any]) -> subprocess.Popen[str]:
    root = str(Path(__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    worker = subprocess.Popen(
        [sys.executable, "-m", "centralized.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        text=True,
        start_new_session=True,  # Ctrl-C goes to process 0, which ends all others
    )
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(order) + "\n")
    worker.stdin.flush()
    return worker


def _end(worker: subprocess.Popen[str]) -> None:
    try:
        worker.communicate(timeout=GRACE_S)  # closes its standard input, at which a running worker exits
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.communicate()


def _await(worker: subprocess.Popen[str]) -> None:
    assert worker.stdout is not None
    if not any(line == READY for line in worker.stdout):
        raise FedtwinError(
            "the process of another device did not start (see above); use trainer.devices=1 to train on one"
        )
