"""`Checkpoints`: the global model on disk after each round: safetensors, never pickle, replaced in one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from shared.runtime.errors import FederationError
from shared.runtime.files import replacing


@dataclass
class Progress:
    """Where a federated run stands, beside its arrays.

    Attributes
    ----------
    round : int
        The last complete one.
    best_value : float or None
        Of the monitored metric.
    fallback : bool or None
        Whether ``val/loss`` is monitored in place of the task's own; None until a client has evaluated.
    threshold : float
        Of the probability of class 1, chosen on the clients' validation rows for the model of this round.
    stopping_best : float or None
        Value of the monitored metric that was the last clear improvement, for early stopping.
    stale_rounds : int
        Rounds since then.
    lr_scale : float
        Factor on the clients' learning rate, lowered on a plateau.
    plateau_best : float or None
        Best val/loss seen by the plateau schedule.
    plateau_stale : int
        Rounds since then.
    run_key : str
        Under which clients keep their state of this run.
    accepted : dict of int to int
        Client id to the last round in which its reply to a train message was accepted.
    """

    round: int = 0
    best_round: int | None = None
    best_value: float | None = None
    threshold: float = 0.5
    stopping_best: float | None = None
    stale_rounds: int = 0
    lr_scale: float = 1.0
    plateau_best: float | None = None
    plateau_stale: int = 0
    run_key: str = ""
    fallback: bool | None = None
    accepted: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The keys of a JSON object are strings.
        self.accepted = {int(client_id): round for client_id, round in self.accepted.items()}


class Checkpoints:
    """The two files of a run: ``best.safetensors``, and ``last.safetensors``, from which it is resumed."""

    def __init__(self, folder: Path) -> None:
        self.best, self.last = folder / "best.safetensors", folder / "last.safetensors"

    def save(
        self,
        state: dict[str, Tensor],
        progress: Progress,
        *,
        strategy: Mapping[str, npt.NDArray[np.generic]],
    ) -> None:
        """Keep the model of the round that has ended, as the best too if it is.

        Parameters
        ----------
        strategy : mapping of str to ndarray
            What the strategy itself needs to resume.
        """
        if progress.best_round == progress.round:
            save_checkpoint(self.best, state, progress)
        # "last" after "best": it says that the round is done.
        kept = {key: torch.from_numpy(np.asarray(array)) for key, array in strategy.items()}
        save_checkpoint(self.last, state, progress, strategy=kept)


_STRATEGY = "strategy/"  # what the keys of a strategy's arrays begin with; a network's have no slash


def save_checkpoint(
    path: Path, state: dict[str, Tensor], progress: Progress, *, strategy: Mapping[str, Tensor] | None = None
) -> None:
    """Write a checkpoint: whole and on disk, or not at all.

    Parameters
    ----------
    strategy : mapping of str to Tensor, optional
        What the strategy itself needs to resume.

    Raises
    ------
    DiskError
        The disk is full, or cannot be written to.
    """
    kept = {f"{_STRATEGY}{key}": tensor for key, tensor in (strategy or {}).items()}
    state = {key: tensor.contiguous() for key, tensor in (state | kept).items()}
    with replacing(path) as file:
        file.write(save(state, metadata={"progress": json.dumps(asdict(progress))}))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], Progress, dict[str, Tensor]]:
    """Read a checkpoint.

    Returns
    -------
    tuple of dict, Progress and dict
        The global model, where the run stands, and what belongs to the strategy.

    Raises
    ------
    FederationError
        It is not there, or not a checkpoint of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FederationError(f"no global model to resume from at {path}: {error}") from None
    strategy = {
        key.removeprefix(_STRATEGY): tensors.pop(key) for key in list(tensors) if key.startswith(_STRATEGY)
    }
    return tensors, progress, strategy
