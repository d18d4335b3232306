"""`Forest`: an isolation forest whose trees grow at the clients, each on its own rows, and stand together.

Liu, Ting and Zhou (2008), Isolation Forest.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.anomalies.limits import EDGES, UNKNOWN, check_counts, exact_limits, without_edges
from shared.runtime.errors import FittingError
from shared.runtime.seeding import derive_seed
from shared.sums.exact import Floats
from shared.sums.order import counts_at_most
from shared.sums.questions import Answers, Arrays, Ask, Question, Shapes, asked, expect
from shared.sums.scale import check_scale, scale_answer, scale_layout, take_scale

SCALE, GROW, COUNTS = "forest/scale", "forest/grow", "forest/counts"
LEAF = -1  # in the place of a feature
MOST_TREES, MOST_SAMPLES = 10_000, 2**14
_TREES = {
    "feature": ("int64", 2),
    "edge": ("float64", 2),
    "left": ("int64", 2),
    "right": ("int64", 2),
    "length": ("float64", 2),
}
_MODEL = {**_TREES, "limits": ("float64", 1)}


class ForestAnswers:
    """A client's half."""

    def layout(self, question: Question) -> Shapes:
        """The arrays of an answer."""
        if question.kind == SCALE:
            return scale_layout(question)
        if question.kind == GROW:
            expect(question, dict.fromkeys(("trees", "samples", "seed", "width"), ("int64", 1)))
            trees, samples = int(question.arrays["trees"][0]), int(question.arrays["samples"][0])
            if not (0 <= trees <= MOST_TREES and 2 <= samples <= MOST_SAMPLES):
                raise FittingError(f"{trees} trees of {samples} rows are out of bounds")
            return {name: ((trees, 2 * samples - 1), kind) for name, (kind, _) in _TREES.items()}
        if question.kind == COUNTS:
            expect(question, {**_MODEL, EDGES: ("float64", 2)})
            return {"counts": (question.arrays[EDGES].shape, "int64")}
        raise FittingError(f"{question.kind!r} is no question of an isolation forest")

    def answer(self, question: Question, rows: Floats) -> Arrays:
        """Answer a question."""
        arrays = question.arrays
        self.layout(question)
        if question.kind == COUNTS:
            model = without_edges(arrays)
            check_trees(model, width=rows.shape[1])
            return {"counts": counts_at_most(scores(model, rows), arrays[EDGES])}
        if (width := int(arrays["width"][0])) != rows.shape[1]:
            raise FittingError(f"the server asks about {width} columns, and the rows have {rows.shape[1]}")
        if question.kind == SCALE:
            return scale_answer(rows)
        trees, samples, seed = (int(arrays[name][0]) for name in ("trees", "samples", "seed"))
        return grow(rows, trees=trees, samples=samples, seed=seed)

    def check(self, question: Question, answer: Arrays) -> None:
        """Check that an answer could be true."""
        if question.kind == SCALE:
            check_scale(answer)
        elif question.kind == COUNTS:
            check_counts(answer["counts"])
        else:
            check_trees(answer, width=int(question.arrays["width"][0]))


class Forest:
    """The server's half.

    Parameters
    ----------
    width : int
        Columns of the rows.
    trees : int
        Of all clients together; each grows as many as its share of the rows.
    samples : int
        Rows that a tree grows on, drawn without replacement from those of its client.
    quantile : float
        Of the scores of the training rows, the control limit.
    """

    def __init__(self, *, width: int, trees: int, samples: int, quantile: float, seed: int) -> None:
        self.width, self.trees, self.samples = width, trees, samples
        self.quantile, self.seed = quantile, seed
        self.answers: Answers = ForestAnswers()

    def empty(self) -> dict[str, NDArray[Any]]:
        """A model of leaves alone, before its fit."""
        return {**_leaves(self.trees, self.samples), "limits": np.full(1, UNKNOWN)}

    def step(self, model: Arrays, ask: Ask) -> Arrays:
        """Let all clients grow trees, put these together, and find the limit; the whole fit."""
        if model["limits"][0] != UNKNOWN:
            return model
        rows, _ = take_scale(SCALE, self.width, ask, answers=self.answers)
        shares = share_out(self.trees, rows)
        if not shares:
            raise FittingError("a tree needs two training rows of a client, and no client has two")
        numbers = {
            "trees": max(shares.values()),
            "samples": self.samples,
            "seed": self.seed,
            "width": self.width,
        }
        question = Question(GROW, {name: np.array([number]) for name, number in numbers.items()})
        grown = asked(question, ask, answers=self.answers)
        trees = {
            name: np.concatenate([grown[client][name][:count] for client, count in sorted(shares.items())])
            for name in _TREES
        }
        fitted = {**trees, "limits": np.full(1, UNKNOWN)}
        limits = exact_limits(
            *(COUNTS, fitted, ask),
            answers=self.answers,
            quantile=self.quantile,
            rows=sum(rows.values()),
            columns=1,
        )
        return {**fitted, "limits": limits}

    def results(self, model: Arrays, rows: Floats) -> Floats:
        """The anomaly score of each row, [n, 1]."""
        return scores(model, rows)


def share_out(trees: int, rows: dict[str, int]) -> dict[str, int]:
    """How many trees each client grows by its share of the rows; the largest rests get one more."""
    able = {client: count for client, count in sorted(rows.items()) if count > 1}
    total = sum(able.values())
    shares = {client: trees * count // total for client, count in able.items()}
    rests = sorted(able, key=lambda client: (-(trees * able[client] % total), client))
    for client in rests[: trees - sum(shares.values())]:
        shares[client] += 1
    return {client: count for client, count in shares.items() if count}


def grow(rows: Floats, *, trees: int, samples: int, seed: int) -> dict[str, NDArray[Any]]:
    """Grow trees by scikit-learn, and lay them out as arrays [trees, nodes]; the unused nodes are leaves.

    The random numbers follow from the seed and the rows, so that two clients grow different trees.
    """
    found = _leaves(trees, samples)
    if len(rows) < 2 or not trees:
        return found
    from sklearn.ensemble import IsolationForest

    own = int.from_bytes(hashlib.sha256(np.ascontiguousarray(rows).tobytes()).digest()[:4])
    size = min(samples, len(rows))
    forest = IsolationForest(
        n_estimators=trees, max_samples=size, random_state=derive_seed(seed, own) % 2**32, n_jobs=1
    ).fit(rows)
    for place, estimator in enumerate(forest.estimators_):
        tree = estimator.tree_
        count, inner = tree.node_count, tree.children_left >= 0
        depth = np.zeros(count)
        for node in np.flatnonzero(inner):  # parents come before their children
            depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
        found["feature"][place, :count] = np.where(inner, tree.feature, LEAF)
        found["edge"][place, :count] = np.where(inner, tree.threshold, 0.0)
        found["left"][place, :count] = np.where(inner, tree.children_left, 0)
        found["right"][place, :count] = np.where(inner, tree.children_right, 0)
        lengths = (depth + average_length(tree.n_node_samples)) / average_length(np.array([size]))[0]
        found["length"][place, :count] = np.where(inner, 0.0, lengths)
    return found


def average_length(sizes: NDArray[Any]) -> Floats:
    """Mean length of an unsuccessful search in a binary tree of so many rows (Liu et al., equation 1)."""
    n = np.asarray(sizes, dtype=np.float64)
    large = np.maximum(n, 3)
    many = 2 * (np.log(large - 1) + np.euler_gamma) - 2 * (large - 1) / large
    return np.where(n > 2, many, np.where(n == 2, 1.0, 0.0))


def scores(model: Arrays, rows: Floats) -> Floats:
    """``2 ** -length``, the mean over the trees of how deep a row lies, by the usual depth; near 1: alone.

    Returns
    -------
    ndarray [n, 1], float64
    """
    values = rows.astype(np.float32)  # as scikit-learn compares them
    total, every = np.zeros(len(rows)), np.arange(len(rows))
    for feature, edge, left, right, length in zip(*(model[name] for name in _TREES), strict=True):
        node = np.zeros(len(rows), dtype=np.int64)
        while len(moving := every[feature[node] != LEAF]):
            at = node[moving]
            below = values[moving, feature[at]] <= edge[at]
            node[moving] = np.where(below, left[at], right[at])
        total += length[node]
    found: Floats = np.exp2(-total / len(model["feature"]))
    return found[:, None]


def check_trees(trees: Arrays, *, width: int) -> None:
    """Check that trees end, and ask for columns that there are.

    Raises
    ------
    FittingError
    """
    feature, left, right = (trees[name] for name in ("feature", "left", "right"))
    own = np.broadcast_to(np.arange(feature.shape[1]), feature.shape)
    inner = feature != LEAF
    fits = bool((feature >= LEAF).all() and (feature < width).all())
    for child in (left, right):
        fits = fits and bool((child[inner] > own[inner]).all() and (child[inner] < feature.shape[1]).all())
    if not fits:
        raise FittingError(f"its trees are none of {width} columns, whose nodes come before their children")
    lengths = trees["length"]
    if not (np.isfinite(trees["edge"]).all() and np.isfinite(lengths).all() and (lengths >= 0).all()):
        raise FittingError("its trees have edges or lengths that cannot be")


def _leaves(trees: int, samples: int) -> dict[str, NDArray[Any]]:
    shape = trees, 2 * samples - 1
    kinds = {name: np.int64 if kind == "int64" else np.float64 for name, (kind, _) in _TREES.items()}
    found: dict[str, NDArray[Any]] = {name: np.zeros(shape, dtype=kind) for name, kind in kinds.items()}
    found["feature"][:] = LEAF
    return found
