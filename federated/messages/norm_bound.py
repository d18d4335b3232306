"""`NormBound`: which training replies of a round are far longer than the others, judged by their median."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import cast

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, RecordDict

from federated.messages.records import ARRAYS, METRICS, NUM_EXAMPLES, values_of

FEWEST = 3  # replies that have a median: of two nobody can tell which is far off
_SMALL = 0.01  # of the global model's own norm: what moves it by less is never too long
_PIECE = 2**18  # values
_MOST = 1e12  # what is told of a ratio

_UPDATE, _REST = "update", "buffers and local arrays"


class NormBound:
    """Compares how far each reply moves the global model, in three parts that have scales of their own.

    The trained parameters; all other floating-point arrays (buffers, such as BatchNorm's statistics, and what
    stays local to each client); each further record that the algorithm declares. A client with more examples
    takes more steps, so that it may move further in proportion: its bound is so many times the median, over the
    replies, of ``norm * max(1, its examples / their examples)``. An update below a hundredth of the global
    model's norm is never too long, nor are the other parts below their own norm. Whole numbers are not judged.

    Parameters
    ----------
    times : float
        ``federation.max_update_norm``.
    trained : collection of str
        Keys of the trained parameters, without those of which each client keeps its own values.
    """

    def __init__(self, times: float, *, trained: Collection[str]) -> None:
        self.times, self.trained = times, frozenset(trained)
        self._sent = RecordDict()
        self._least: dict[str, float] = {}
        self._norms: dict[str, list[float]] = {}
        self._examples: list[int] = []
        self._place: dict[int, int] = {}
        self._moved: dict[int, dict[str, float]] = {}

    def begin(self, message: RecordDict) -> None:
        """Forget the last round.

        Parameters
        ----------
        message : RecordDict
            What the round's train messages carry.
        """
        self._sent, self._examples, self._place, self._moved = message, [], {}, {}
        sent = message.array_records
        self._least = {name: norm(record.values()) for name, record in sent.items() if name != ARRAYS}
        model = sent.get(ARRAYS, ArrayRecord())
        self._least[_UPDATE] = _SMALL * norm(array for key, array in model.items() if key in self.trained)
        self._least[_REST] = norm(array for key, array in model.items() if key not in self.trained)
        self._norms = {}

    def measure(self, client_id: int, content: RecordDict) -> None:
        """Measure a reply before it is added: while others are waited for, and not after the deadline."""
        self._moved[client_id] = self._lengths(content)

    def add(self, client_id: int, content: RecordDict) -> None:
        """Add a reply that passed `check_reply` to those that later ones are compared with."""
        self._place[client_id] = len(self._examples)
        self._examples.append(cast(int, content.metric_records[METRICS][NUM_EXAMPLES]))
        moved = self._moved.pop(client_id, None)
        for part, length in (self._lengths(content) if moved is None else moved).items():
            self._norms.setdefault(part, []).append(length)

    def _lengths(self, content: RecordDict) -> dict[str, float]:
        records = content.array_records
        model, old = records[ARRAYS], self._sent.array_records[ARRAYS]
        moved = {_UPDATE: 0.0, _REST: 0.0}
        for key, array in model.items():
            part = _UPDATE if key in self.trained else _REST
            moved[part] = math.hypot(moved[part], distance(array, old[key]))
        return moved | {name: norm(record.values()) for name, record in records.items() if name != ARRAYS}

    def __len__(self) -> int:
        """The replies that were measured in this round."""
        return len(self._examples)

    def ratios(self, client_id: int) -> dict[str, float]:
        """How far each part of a reply moved, as a multiple of what is usual by the replies measured so far."""
        place, examples = self._place[client_id], np.array(self._examples, dtype=np.float64)
        steps, found = np.maximum(1.0, examples[place] / examples), {}
        for part, lengths in self._norms.items():
            usual = max(float(np.median(np.array(lengths) * steps)), self._least.get(part, 0.0))
            # Where most did not move at all, nothing is usual.
            found[part] = min(lengths[place] / usual, _MOST) if usual > 0 else 0.0
        return found

    def excess(self, client_id: int) -> tuple[float, str] | None:
        """How far a reply is over the bound.

        Returns
        -------
        tuple of float and str, or None
            The multiple of what is usual, and the part of the reply; None if it is within the bound.
        """
        if len(self) < FEWEST:
            return None
        ratio, part = max((ratio, part) for part, ratio in self.ratios(client_id).items())
        return (ratio, part) if ratio > self.times else None

    def why(self, ratio: float, part: str) -> str:
        """What is told of a reply that is over the bound."""
        what = "its update is" if part == _UPDATE else f"its {part} are"
        return (
            f"{what} {ratio:.3g} times as far from the global model as is usual in this round, for its number "
            f"of examples (federation.max_update_norm={self.times:g})"
        )


def norm(arrays: Iterable[Array]) -> float:
    """The Euclidean norm of all values of floating-point arrays together."""
    return math.hypot(*(_norm(values_of(array), None) for array in arrays if _is_float(array)))


def distance(new: Array, old: Array) -> float:
    """The Euclidean distance of two floating-point arrays of one shape; 0 of others."""
    return _norm(values_of(new), values_of(old)) if _is_float(new) else 0.0


def _norm(values: npt.NDArray[np.generic], old: npt.NDArray[np.generic] | None) -> float:
    values, total = values.reshape(-1), 0.0
    before = None if old is None else old.reshape(-1)
    with np.errstate(over="ignore"):
        for start in range(0, values.size, _PIECE):
            piece = values[start : start + _PIECE].astype(np.float64)
            if before is not None:
                piece -= before[start : start + _PIECE].astype(np.float64)
            total += float(piece @ piece)
    return math.sqrt(total)


def _is_float(array: Array) -> bool:
    return bool(np.issubdtype(np.dtype(array.dtype), np.floating))
