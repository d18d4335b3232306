"""`Question`: what the server of a clustering asks its clients, and the layout that an answer must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from shared.clusters.distances import Floats
from shared.runtime.errors import ClustersError, FittingError
from shared.sums.exact import Ints
from shared.sums.scale import check_scale

Kind = Literal["scale", "race", "row", "sums"]
Arrays = Mapping[str, NDArray[Any]]
Shapes = dict[str, tuple[tuple[int, ...], str]]  # shape and type by name

NOBODY = -1.0  # the time of a race without a row

_NONE, _INT, _FLOAT = np.zeros(0, dtype=np.int64), "int64", "float64"


@dataclass(frozen=True, eq=False)
class Question:
    """A question about the training rows of all clients.

    Attributes
    ----------
    kind : {"scale", "race", "row", "sums"}
        How many rows there are and how large; when the earliest row arrives in a race by squared distance to
        the nearest centroid; the row that arrived then; rows and sums by nearest centroid.
    centroids : ndarray [k, d], float64
        Of a race, those that were drawn so far.
    shifts : ndarray [d], int64
        Of sums, see `shared.sums.exact`.
    seed : int
        Of a race.
    time : float
        Of the row that is asked for.
    """

    kind: Kind
    centroids: Floats
    shifts: Ints = field(default_factory=lambda: _NONE)
    seed: int = 0
    time: float = NOBODY

    def answers(self) -> Shapes:
        """The arrays of an answer."""
        k, d = self.centroids.shape
        kinds: dict[Kind, Shapes] = {
            "scale": {"rows": ((1,), _INT), "exponents": ((d,), _INT)},
            "race": {"time": ((1,), _FLOAT)},
            "row": {"row": ((d,), _FLOAT)},
            "sums": {"counts": ((k,), _INT), "sums": ((k, d), _INT)},
        }
        return kinds[self.kind]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The question as arrays, for any transport."""
        return {
            "centroids": self.centroids,
            "shifts": self.shifts,
            "seed": np.array([self.seed], dtype=np.int64),
            "time": np.array([self.time]),
        }

    @classmethod
    def from_arrays(cls, kind: str, arrays: Arrays) -> Question:
        """Read `to_arrays`, or what somebody else made up.

        Raises
        ------
        ClustersError
            It is no question.
        """
        if kind not in get_args(Kind) or arrays.keys() != {"centroids", "shifts", "seed", "time"}:
            raise ClustersError(f"expected a question of {get_args(Kind)}, got {kind!r} with {sorted(arrays)}")
        centroids, shifts = arrays["centroids"], arrays["shifts"]
        seed, time = arrays["seed"], arrays["time"]
        width = centroids.shape[1] if centroids.ndim == 2 else -1
        expected = (width,) if kind == "sums" else (0,)
        types = [str(array.dtype) for array in (centroids, shifts, seed, time)]
        fits = types == [_FLOAT, _INT, _INT, _FLOAT]
        if width < 0 or not fits or shifts.shape != expected or (seed.shape, time.shape) != ((1,), (1,)):
            raise ClustersError(
                f"{kind}: expected centroids [k, d], {list(expected)} shifts, a seed and a time, got shapes "
                f"{[list(array.shape) for array in (centroids, shifts, seed, time)]}"
            )
        if not (np.isfinite(centroids).all() and np.isfinite(time).all() and (np.abs(shifts) < 2**10).all()):
            raise ClustersError(f"{kind}: it has values that are not finite, or beyond all bounds")
        return cls(kind, centroids, shifts, int(seed[0]), float(time[0]))  # type: ignore[arg-type]


def check_answer(question: Question, answer: Arrays) -> None:
    """Check that an answer of the right shapes could be true.

    Raises
    ------
    ClustersError
    """
    if question.kind == "scale":
        try:
            check_scale(answer)
        except FittingError as error:
            raise ClustersError(str(error)) from None
    elif question.kind == "race":
        time = float(answer["time"][0])
        if time != NOBODY and not time > 0:
            raise ClustersError(f"expected a time above 0, or {NOBODY} for no row, got {time}")
    elif question.kind == "sums" and (answer["counts"] < 0).any():
        raise ClustersError(f"expected counts of rows, got {int(answer['counts'].min())}")
