"""`Points`: metric rows as columns, how they become curves, and the few of them that stand for many."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.tracking.thinning import Ints, thin

NONE = -1  # stands for null in columns of whole numbers
ROW = np.dtype(
    [
        ("id", "<i8"),
        ("client", "<i4"),
        ("key", "<i4"),
        ("step", "<i4"),
        ("epoch", "<i4"),
        ("value", "<f8"),
        ("examples", "<i8"),
        ("time", "<i8"),
        ("more", "<i4"),
    ]
)
STEP = np.dtype([("step", "<i4"), ("examples", "<i8"), ("time", "<i8")])
OF_AGGREGATE = 128  # values that a digest keeps of each curve of the whole model
OF_CLIENTS = 4000  # and of those of the clients together, 4 or more each


@dataclass(frozen=True)
class Points:
    """Metric rows of a run.

    Attributes
    ----------
    keys : tuple of (str, str)
        Stages and names.
    rows : structured ndarray [N]
        ``id``; ``client``, ``step``, ``epoch`` and ``examples`` (-1: null); ``key`` (a place in ``keys``);
        ``value``; ``time`` (microseconds since 1970); ``more``, the steps of its curve that a digest left out,
        at the last row that it kept.
    """

    keys: tuple[tuple[str, str], ...]
    rows: NDArray[Any]

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]]) -> Points:
        """Columns of rows: id, client, step, epoch, stage, name, value, examples, time."""
        keys: dict[tuple[str, str], int] = {}
        found = np.empty(len(rows), ROW)
        if rows:
            number, client, step, epoch, stage, name, value, examples, time = zip(*rows, strict=True)
            found["key"] = [keys.setdefault(key, len(keys)) for key in zip(stage, name, strict=True)]
            found["id"], found["client"], found["step"], found["epoch"] = number, client, step, epoch
            found["value"] = np.array(value, dtype=np.float64)  # None is NaN
            found["examples"], found["time"] = examples, np.array(time, dtype="datetime64[us]").astype(np.int64)
            found["more"] = 0
        return cls(tuple(keys), found)

    @classmethod
    def joined(cls, parts: Iterable[Points]) -> Points:
        """All rows of some."""
        keys: dict[tuple[str, str], int] = {}
        found = [np.empty(0, ROW)]
        for part in parts:
            places = np.array([keys.setdefault(key, len(keys)) for key in part.keys], dtype=np.int32)
            rows = part.rows.copy()
            rows["key"] = places[rows["key"]] if len(rows) else rows["key"]
            found.append(rows)
        return cls(tuple(keys), np.concatenate(found))

    def of_whole_model(self, stage: str, name: str) -> Points:
        """One metric of the whole model: no rows of clients."""
        key = self.keys.index((stage, name)) if (stage, name) in self.keys else NONE
        return Points(self.keys, self.rows[(self.rows["key"] == key) & (self.rows["client"] == NONE)])

    def curves(self) -> tuple[NDArray[Any], Ints, Ints]:
        """The rows of all curves, by key, client and step, one a step: of local epochs in a round the last.

        Returns
        -------
        tuple of ndarray
            The rows; the length of each curve; the stored values that each stands for.
        """
        rows = self.rows[self.rows["step"] != NONE]
        rows = rows[np.lexsort((rows["id"], rows["epoch"], rows["step"], rows["client"], rows["key"]))]
        last = np.ones(len(rows), dtype=bool)
        for name in ("key", "client", "step"):
            last[:-1] &= rows[name][1:] == rows[name][:-1]
        last[:-1], last[-1:] = ~last[:-1], True
        more = rows["more"].astype(np.int64)
        all_begins = np.flatnonzero(_begins(rows))
        left_out = np.add.reduceat(more, all_begins) if len(rows) else more
        rows = rows[last]
        lengths = np.diff(np.append(np.flatnonzero(_begins(rows)), len(rows)))
        return rows, lengths, lengths + left_out

    def newest(self) -> Ints:
        """The ids of the last row of each stage, name and client, those without a step too."""
        rows = self.rows[np.lexsort((self.rows["id"], self.rows["client"], self.rows["key"]))]
        ends = np.append(_begins(rows)[1:], True)[: len(rows)]
        return np.sort(rows["id"][ends])

    def digest(self) -> Points:
        """Few rows that stand for all: extremes of stretches of each curve, its last row, what has no step."""
        rows, lengths, totals = self.curves()
        if len(lengths):
            begins = np.cumsum(lengths) - lengths
            of_clients = rows["client"][begins] != NONE
            each = max(4, OF_CLIENTS // max(1, int(of_clients.sum())))
            kept = thin(rows["value"], lengths, points=np.where(of_clients, each, OF_AGGREGATE))
            some = rows[kept]
            curve = np.searchsorted(begins, kept, side="right") - 1
            some["more"] = 0
            ends = np.append(curve[1:] != curve[:-1], True)
            some["more"][ends] = totals - np.bincount(curve, minlength=len(lengths))
        else:
            some = rows
        # The newest row need not be on its curve: its step may have been repeated.
        others = self.rows[np.isin(self.rows["id"], self.newest()) & ~np.isin(self.rows["id"], some["id"])]
        others["step"], others["more"] = NONE, 0
        return Points(self.keys, np.concatenate([some, others]))


def _begins(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the rows of another curve begin."""
    begins = np.ones(len(rows), dtype=bool)
    begins[1:] = (rows["key"][1:] != rows["key"][:-1]) | (rows["client"][1:] != rows["client"][:-1])
    return begins


def steps_of(points: Points, *, federated: bool) -> NDArray[Any]:
    """What was trained in each step, and when its last value of the whole model was stored.

    Parameters
    ----------
    points : Points
        As stored, not a digest.

    Returns
    -------
    structured ndarray
        ``step``, ``examples`` (of all clients together), ``time`` (-1: no such value); ascending.
    """
    rows = points.rows[points.rows["step"] != NONE]
    whole = rows["client"] == NONE
    train = np.array([stage == "train" for stage, _ in points.keys], dtype=bool)
    trained = rows[(train[rows["key"]] if len(rows) else whole) & (whole != federated)]
    # Whatever metrics an epoch has, its rows count once.
    trained = trained[np.lexsort((trained["examples"], trained["epoch"], trained["client"], trained["step"]))]
    last = np.zeros(len(trained), dtype=bool)
    for name in ("epoch", "client", "step"):
        last[:-1] |= trained[name][1:] != trained[name][:-1]
    last[-1:] = True
    return summed_steps([_of_steps(trained[last], time=False), _of_steps(rows[whole], time=True)])


def _of_steps(rows: NDArray[Any], *, time: bool) -> NDArray[Any]:
    found = np.empty(len(rows), STEP)
    found["step"], found["time"] = rows["step"], rows["time"] if time else NONE
    found["examples"] = 0 if time else np.maximum(rows["examples"], 0)
    return found


def summed_steps(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Examples added, newest times, by step."""
    rows = np.concatenate([np.empty(0, STEP), *parts])
    numbers, place = np.unique(rows["step"], return_inverse=True)
    found = np.zeros(len(numbers), STEP)
    found["step"], found["time"] = numbers, NONE
    np.add.at(found["examples"], place, rows["examples"])
    np.maximum.at(found["time"], place, rows["time"])
    return found


def pack(points: Points, steps: NDArray[Any]) -> bytes:
    """Write a digest for the database: its keys and lengths in JSON, a line, then the columns, compressed."""
    head = json.dumps({"keys": points.keys, "rows": len(points.rows), "steps": len(steps)}).encode()
    return head + b"\n" + zlib.compress(points.rows.tobytes() + steps.tobytes(), 1)


def unpack(content: bytes) -> tuple[Points, NDArray[Any]]:
    """Read what `pack` wrote."""
    text, _, packed = content.partition(b"\n")
    head, plain = json.loads(text), zlib.decompress(packed)
    split = head["rows"] * ROW.itemsize
    keys = tuple((stage, name) for stage, name in head["keys"])
    return Points(keys, np.frombuffer(plain[:split], ROW)), np.frombuffer(plain[split:], STEP)
