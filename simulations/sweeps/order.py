"""`Order` and `Outcome`: what a worker is asked to train, and how that ended; they travel through Dask."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from shared.sweeps.plan import Mode

ResultsBy = Literal["database", "dask"]
OutcomeStatus = Literal["completed", "failed", "stopped", "pruned", "died"]
PRUNE = signal.SIGUSR2  # asks the process of a trial to stop; Lightning uses SIGUSR1, for jobs of Slurm

LOG_FILE = "trial.log"  # in the folder of its run: what the command would have printed


@dataclass(frozen=True)
class Order:
    """One try of a trial.

    Attributes
    ----------
    config : dict
        The resolved snapshot.
    home : str or None
        The folder of files; None: the worker's own.
    database_url : str or None
        None: the worker has no database of the sweep's, and its results are part of the outcome.
    keep_models : bool
        Whether the chosen models are part of the results, too.
    threads : int
        Of PyTorch.
    """

    sweep_id: int
    number: int
    mode: Mode
    config: Mapping[str, Any]
    home: str | None
    database_url: str | None
    threads: int
    keep_models: bool = False


@dataclass(frozen=True)
class Results:
    """What a trial has written, as data.

    Attributes
    ----------
    runs : bytes
        See `shared.tracking.run_bundle`.
    files : dict of str to bytes
        By ``KEY/PATH``: the run's key in the bundle, and where the file lies in the folder of its run.
    """

    runs: bytes
    files: Mapping[str, bytes]


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
    results : Results, optional
        Of a completed trial whose worker has no database of the sweep's.
    """

    number: int
    status: OutcomeStatus
    seconds: float = 0.0
    processor_seconds: float = 0.0
    error: str | None = None
    final: bool = False
    results: Results | None = None
