"""`ClientState`: what one client keeps from round to round, in Flower's context and on disk.

Flower's context lives as long as its node's process. The files, in the client's own home, are for a run that is
resumed after that, or as another run of Flower's: so a client's state never leaves it, in a simulation neither.
"""

from __future__ import annotations

import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from flwr.app import Context
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from federated.messages.records import arrays_from_state, state_of
from federated.strategy.client_half import Tensors
from shared.runtime.errors import FederationError
from shared.runtime.files import replacing

FOLDER = "client-state"  # of the home
KEPT_S = 30 * 86400.0  # states of other runs are removed when nothing was written for so long
_LOCAL, _ALGORITHM, _OPTIMIZER = _PREFIXES = ("local/", "algorithm/", "optimizer/")
_KEY = re.compile(r"[0-9a-f]{32}")  # it comes from the server, and is part of a path


@dataclass(frozen=True)
class Kept:
    """One round's state.

    Attributes
    ----------
    local : mapping of str to Tensor
        The client's own arrays of the model, by key of its state dict.
    algorithm : mapping of str to Tensor
        What the algorithm's client half kept.
    optimizer : mapping of str to Tensor
        What the optimiser knows beside the weights, see `shared.training.optimizer_state`.
    """

    local: Tensors = field(default_factory=dict)
    algorithm: Tensors = field(default_factory=dict)
    optimizer: Tensors = field(default_factory=dict)

    def pack(self) -> dict[str, Tensor]:
        """All in one, by prefixed keys."""
        parts = {_LOCAL: self.local, _ALGORITHM: self.algorithm, _OPTIMIZER: self.optimizer}
        return {f"{prefix}{key}": tensor for prefix, part in parts.items() for key, tensor in part.items()}

    @classmethod
    def unpack(cls, tensors: Tensors) -> Kept:
        """The inverse of `pack`."""
        return cls(*({k.removeprefix(p): t for k, t in tensors.items() if k.startswith(p)} for p in _PREFIXES))


class ClientState:
    """The states of one client in one run, by round.

    The server says which round's state to begin with: the last in which it accepted this client's reply. What
    was kept in a round whose reply was lost, late or rejected is not used. That state and the newest are kept,
    so that a message that is asked again, or a round that a resumed run repeats, finds what it found before.

    Parameters
    ----------
    home : Path
        The client's own; in a simulation that of all clients.

    Raises
    ------
    FederationError
        ``run_key`` is not 32 hexadecimal digits.
    """

    def __init__(self, context: Context, *, home: Path, run_key: str, client_id: int) -> None:
        if not _KEY.fullmatch(run_key):
            raise FederationError(f"the server sent no key for this client's state, got {run_key!r:.80}")
        self.context = context
        self.root = home / FOLDER
        self.folder = self.root / run_key / f"client-{client_id}"
        self._prefix = f"{FOLDER}/{run_key}/{client_id}/"

    def of(self, round: int) -> Kept:
        """What was kept in a round; nothing in round 0, before the first.

        Raises
        ------
        FederationError
            It is not there, or cannot be read.
        """
        if not round:
            return Kept()
        record = self.context.state.array_records.get(f"{self._prefix}{round}")
        return Kept.unpack(self._load(round) if record is None else state_of(record))

    def keep(self, kept: Kept, *, round: int, accepted: int) -> None:
        """Keep the state of a round, on disk when this returns; it replaces one of the same round.

        Parameters
        ----------
        accepted : int
            The round whose state this one began with; those of other earlier rounds are removed.
        """

        def outdated(number: str) -> bool:
            return int(number) < round and int(number) != accepted

        state = kept.pack()
        self._write(state, round)
        for name in list(self.context.state.array_records):
            # Those of another run, which has ended, go too.
            if not name.startswith(self._prefix) or outdated(name.removeprefix(self._prefix)):
                del self.context.state[name]
        self.context.state[f"{self._prefix}{round}"] = arrays_from_state(state)
        for path in self.folder.glob("*.safetensors"):
            if outdated(path.stem):
                path.unlink(missing_ok=True)

    def _path(self, round: int) -> Path:
        return self.folder / f"{round}.safetensors"

    def _load(self, round: int) -> dict[str, Tensor]:
        path = self._path(round)
        if not path.exists():
            raise FederationError(
                f"this client's state of round {round}, which the server's message asks for, is not at {path}; "
                "put the file back, or begin a new run"
            )
        try:
            return dict(load_file(path))
        except (OSError, SafetensorError) as error:
            raise FederationError(f"this client's state cannot be read at {path}: {error}") from None

    def begun(self) -> Path:
        """The folder of this client in this run; where it is new, those of old runs are removed."""
        if not self.folder.exists():
            _remove_old(self.root)
            self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        return self.folder

    def _write(self, state: Tensors, round: int) -> None:
        self.begun()
        with replacing(self._path(round)) as file:
            file.write(save({key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}))


def _remove_old(root: Path) -> None:
    for run in root.glob("*/"):
        with suppress(OSError):
            newest = max((path.stat().st_mtime for path in run.rglob("*")), default=run.stat().st_mtime)
            if time.time() - newest > KEPT_S:
                shutil.rmtree(run, ignore_errors=True)
