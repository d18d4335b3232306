"""The interface between benchmark and measured program: task, plan, and one mark per round."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.speed.workloads import Workload

TASK = "BENCHMARK_TASK"  # environment variable: the path of a task's file


@dataclass(frozen=True)
class Mark:
    """The end of a round, after the global model was evaluated on the test rows; round 0 is before training.

    Attributes
    ----------
    time : float
        Seconds since 1970.
    loss, auc : float or None
        Of the global model, on the test rows.
    """

    round: int
    time: float
    loss: float | None = None
    auc: float | None = None


@dataclass(frozen=True)
class Task:
    """Where a program finds its work.

    Attributes
    ----------
    data : str
        The file of images.
    plan : str
        The file of a `Plan`.
    marks : str
        The file that takes a mark a round.
    """

    workload: Workload
    data: str
    plan: str
    marks: str

    @staticmethod
    def read(path: str | None = None) -> Task:
        """Read a task.

        Parameters
        ----------
        path : str, optional
            Without it, the one that the environment names.
        """
        stored: dict[str, Any] = json.loads(Path(path or os.environ[TASK]).read_text())
        return Task(**{**stored, "workload": Workload(**stored["workload"])})

    def write(self, path: Path) -> None:
        """Write it where a program will read it."""
        path.write_text(json.dumps(asdict(self)))

    def mark(self, number: int, *, loss: float, auc: float) -> None:
        """Note that a round is over, now."""
        with Path(self.marks).open("a") as file:
            file.write(json.dumps(asdict(Mark(number, time.time(), loss, auc))) + "\n")


def read_marks(path: Path) -> list[Mark]:
    """The marks that a program has left, by round."""
    if not path.is_file():
        return []
    return sorted((Mark(**json.loads(line)) for line in path.read_text().splitlines()), key=lambda m: m.round)


@dataclass(frozen=True)
class Plan:
    """Everything random of a training, drawn beforehand, so that all systems do the same work.

    Attributes
    ----------
    owner : ndarray [N], int64
        The client of each training row.
    orders : list of list of ndarray, int64
        ``orders[round][place]``: the rows of a sampled client in the order in which it sees them.
    weights : list of ndarray
        The initial weights, in the order of the network's state.
    """

    owner: npt.NDArray[np.int64]
    orders: list[list[npt.NDArray[np.int64]]]
    weights: list[npt.NDArray[Any]]

    def save(self, path: Path) -> None:
        """Write it."""
        flat = [rows for clients in self.orders for rows in clients]
        np.savez(
            path,
            owner=self.owner,
            shape=np.array([len(self.orders), len(self.orders[0])]),
            ends=np.cumsum([len(rows) for rows in flat]),
            rows=np.concatenate(flat),
            **{f"weight_{number:03}": array for number, array in enumerate(self.weights)},
        )

    @staticmethod
    def load(path: str | Path) -> Plan:
        """Read it."""
        with np.load(path) as stored:
            flat = np.split(stored["rows"], stored["ends"][:-1])
            rounds, sampled = (int(number) for number in stored["shape"])
            orders = [flat[start : start + sampled] for start in range(0, rounds * sampled, sampled)]
            weights = [stored[name] for name in sorted(stored.files) if name.startswith("weight_")]
            return Plan(owner=stored["owner"], orders=orders, weights=weights)
