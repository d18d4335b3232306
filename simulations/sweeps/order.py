"""`Order` and `Outcome`: what a worker is asked to train, and how that ended; they travel through Dask."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from simulations.sweeps.plan import Mode

PRUNE = signal.SIGUSR2  # asks the process of a trial to stop; Lightning uses SIGUSR1, for jobs of Slurm


@dataclass(frozen=True)
class Order:
    """One try of a trial.

    Attributes
    ----------
    config : dict
        The resolved snapshot.
    home : str or None
        The folder of files; None: the worker's own.
    threads : int
        Of PyTorch.
    """

    sweep_id: int
    number: int
    mode: Mode
    config: Mapping[str, Any]
    home: str | None
    database_url: str
    threads: int


@dataclass(frozen=True)
class Outcome:
    """How a try ended.

    Attributes
    ----------
    status : {"completed", "failed", "stopped", "pruned", "died"}
        Pruned: a search has stopped it, for good. Died: its process is gone, and said nothing.
    seconds, processor_seconds : float
        Of the training, without the start of its process.
    final : bool
        Whether another try cannot but fail in the same way.
    """

    number: int
    status: Literal["completed", "failed", "stopped", "pruned", "died"]
    seconds: float = 0.0
    processor_seconds: float = 0.0
    error: str | None = None
    final: bool = False
