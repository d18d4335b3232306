"""Questions of the server and replies of clients: plain dataclasses of numbers and arrays.

Every array of a reply is a sum over rows: replies are added, never compared, so secure aggregation can take the
place of `summed`. What a client tells is thus what histograms tell: with few rows in a leaf, something about
single rows. Each question has a number; a client that is asked again gives the same reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import ReplyRejected
from shared.trees.bins import CODES, Ints
from shared.trees.fixed_point import EXACT, Floats
from shared.trees.sketch import CHILDREN, Keys

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Describe:
    """How many rows, and how large are weights and targets?

    ``rows`` [2] of training and validation; ``magnitudes`` [2], sums of weights and of weighted targets.
    """

    step: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays of a reply."""
        return {"rows": (2,), "magnitudes": (2,)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Start:
    """The sums from which boosting starts: ``weight`` [1], ``targets`` [K], at these scales."""

    step: int
    scales: tuple[float, float]
    outputs: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays of a reply."""
        return {"weight": (1,), "targets": (self.outputs,)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Count:
    """How many training rows are in the children of these cells?

    ``counts`` [C, 256]; see `sketch.count_cells`.
    """

    step: int
    feature: Ints
    prefix: Keys
    resolved: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays of a reply."""
        return {"counts": (len(self.feature), CHILDREN)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Begin:
    """These are the bins, and the raw scores [K] of all rows to begin with; nothing is told."""

    step: int
    edges: tuple[Floats, ...]
    scores: Floats

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays of a reply."""
        return {}


def _no_ints(*shape: int) -> Ints:
    return np.zeros(shape, dtype=np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class Grow:
    """Divide nodes, then add finished trees, then begin others, then tell histograms, as far as asked.

    A node is a pair: its tree of the round (0 to K - 1), and its number in the tree (0: the root).

    Attributes
    ----------
    parent, left, right : ndarray [S, 2], [S], [S], int64
        Nodes to divide, and the numbers of their children.
    feature : ndarray [S], int64
    table : ndarray [S, 256], bool
        Which bins of the input go left.
    leaf, value : ndarray [L, 2], int64, and [L], float64
        Leaves of finished trees, and what they add to the raw scores; then trees begin at their roots, with new
        gradients.
    begin : bool
        Whether trees begin; without leaves, they begin again at other scales.
    round : int
        Of the trees that begin.
    scales : tuple of float
        Of gradients and Hessians.
    subsample, seed : float, int
        Which rows take part in the round.
    asked : ndarray [A, 2], int64
        Nodes whose histograms are asked for.
    inputs : ndarray [F'], int64
        Inputs of the histograms, ascending.
    bins : int
        Their bins in all.
    """

    step: int
    parent: Ints = field(default_factory=lambda: _no_ints(0, 2))
    left: Ints = field(default_factory=lambda: _no_ints(0))
    right: Ints = field(default_factory=lambda: _no_ints(0))
    feature: Ints = field(default_factory=lambda: _no_ints(0))
    table: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, CODES), dtype=np.bool_))
    leaf: Ints = field(default_factory=lambda: _no_ints(0, 2))
    value: Floats = field(default_factory=lambda: np.zeros(0))
    begin: bool = False
    round: int = 0
    scales: tuple[float, float] = (1.0, 1.0)
    subsample: float = 1.0
    seed: int = 0
    asked: Ints = field(default_factory=lambda: _no_ints(0, 2))
    inputs: Ints = field(default_factory=lambda: _no_ints(0))
    bins: int = 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays of a reply: sums of gradients, Hessians and rows; magnitudes of the first two; losses.

        ``losses`` are the sums of losses and weights of the training rows (first row) and the validation rows.
        """
        shapes: dict[str, tuple[int, ...]] = {"histograms": (len(self.asked), self.bins, 3)}
        if self.begin:
            shapes |= {"magnitudes": (2,), "losses": (2, 2)}
        return shapes


Question: TypeAlias = Describe | Start | Count | Begin | Grow


@dataclass(frozen=True, eq=False)
class Reply:
    """What a client answers."""

    step: int
    arrays: Arrays


def summed(question: Question, replies: Mapping[str, Reply]) -> dict[str, NDArray[Any]]:
    """Check the replies and add them.

    Parameters
    ----------
    replies : mapping of str to Reply
        By the client's name. Exact sums do not depend on the order; others are added by name.

    Raises
    ------
    ReplyRejected
        A reply does not fit the question.
    """
    total: dict[str, NDArray[Any]] = {}
    for name in sorted(replies):
        try:
            check_reply(question, replies[name])
        except ReplyRejected as error:
            raise ReplyRejected(f"{name}: {error}") from None
        for key, array in replies[name].arrays.items():
            total[key] = total[key] + array if key in total else array
    for key, array in total.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ReplyRejected(f"the sum of {key!r} over all clients is not finite")
    return total


COUNTED = ("rows", "counts")
_MOST_ROWS = 2**40  # of a client, so that sums over clients are exact


def check_reply(question: Question, reply: Reply) -> None:
    """Make sure that a reply can be one to a question.

    Raises
    ------
    ReplyRejected
    """
    shapes = question.shapes()
    if reply.step != question.step:
        raise ReplyRejected(f"expected a reply to question {question.step}, got one to {reply.step}")
    if reply.arrays.keys() != shapes.keys():
        raise ReplyRejected(f"expected the arrays {sorted(shapes)}, got {sorted(reply.arrays)}")
    for key, array in reply.arrays.items():
        kind = np.dtype(np.int64 if key in COUNTED else np.float64)
        if array.shape != shapes[key] or array.dtype != kind:
            raise ReplyRejected(
                f"expected {key!r} as {kind} of shape {shapes[key]}, got {array.dtype} of shape {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ReplyRejected(f"{key!r} has values that are not finite")
        if key in (*COUNTED, "magnitudes") and array.size and array.min() < 0:
            raise ReplyRejected(f"{key!r} is negative")
        if key in COUNTED and array.size and array.max() > _MOST_ROWS:
            raise ReplyRejected(f"{key!r} counts more than {_MOST_ROWS:,} rows")
        if (
            key == "histograms"
            and array.size
            and (np.abs(array).max() > EXACT or (array != np.rint(array)).any())
        ):
            raise ReplyRejected(f"expected whole numbers below 2**53 in {key!r}")
