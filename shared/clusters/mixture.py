"""`Mixture`: Gaussian mixtures of all clients' rows by expectation maximisation, from exact sums.

Dempster, Laird and Rubin (1977), Maximum Likelihood from Incomplete Data via the EM Algorithm. Covariances are
diagonal, or full: then their upper triangles stand row by row where the variances of diagonal ones do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.clusters.client import ClientRows
from shared.clusters.distances import squared_distances
from shared.clusters.messages import Question as ClusterQuestion
from shared.clusters.messages import check_answer
from shared.clusters.server import Centroids, Lloyd
from shared.runtime.errors import ClustersError, FittingError
from shared.sums.exact import LEAST, MOST, Floats, Ints, shifts_for
from shared.sums.questions import MOST_ROWS, Answers, Arrays, Ask, Question, Shapes, added, asked, expect
from shared.sums.scale import check_scale, scale_answer, scale_layout, take_scale

SCALE, HARD, SOFT, START = "gmm/scale", "gmm/hard", "gmm/soft", "gmm/start/"
ROW = f"{START}row"  # its answer is a training row
MOST_STARTING = 100  # iterations of k-means before the first of the mixture
EMPTY = 1e-3  # rows; a component with less stays where it is

_MODEL = {
    "weights": ("float64", 1),
    "means": ("float64", 2),
    "variances": ("float64", 2),
    "exponents": ("int64", 1),
    "rows": ("int64", 1),
}


class MixtureAnswers:
    """A client's half."""

    def layout(self, question: Question) -> Shapes:
        """The arrays of an answer."""
        if question.kind.startswith(START):
            return _start_question(question).answers()
        if question.kind == SCALE:
            return scale_layout(question)
        if question.kind not in (HARD, SOFT):
            raise FittingError(f"{question.kind!r} is no question of a mixture")
        expect(question, _MODEL)
        _check_model(question)
        components, width = question.arrays["means"].shape
        return {
            "rows": ((1,), "int64"),
            "zeroth": ((components,), "int64"),
            "first": ((components, width), "int64"),
            "second": (question.arrays["variances"].shape, "int64"),
        }

    def answer(self, question: Question, rows: Floats) -> Arrays:
        """Answer a question."""
        self.layout(question)
        arrays, width = question.arrays, rows.shape[1]
        if question.kind.startswith(START):
            try:
                return ClientRows(rows).answer(_start_question(question))
            except ClustersError as error:
                raise FittingError(str(error)) from None
        expected = int(arrays["width"][0]) if question.kind == SCALE else arrays["means"].shape[1]
        if expected != width:
            raise FittingError(f"the server asks about {expected} columns, and the rows have {width}")
        if question.kind == SCALE:
            return scale_answer(rows)
        if question.kind == SOFT:
            shares = np.exp(log_shares(negative_log_joint(arrays, rows)))
        else:
            nearest = squared_distances(rows, arrays["means"]).argmin(axis=1)
            shares = np.eye(len(arrays["means"]))[nearest]
        return _moments(rows, np.ascontiguousarray(shares.T), arrays)

    def check(self, question: Question, answer: Arrays) -> None:
        """Check that an answer could be true."""
        if question.kind.startswith(START):
            try:
                check_answer(_start_question(question), answer)
            except ClustersError as error:
                raise FittingError(str(error)) from None
            return
        if question.kind == SCALE:
            check_scale(answer)
            return
        rows, most = int(answer["rows"][0]), int(question.arrays["rows"][0])
        if not 0 <= rows <= most:
            raise FittingError(f"expected 0 to {most} rows, got {rows}")
        shift = int(_shifts(question.arrays)[0])
        zeroth, first, second = answer["zeroth"], answer["first"], answer["second"]
        total, slack = sum(zeroth.tolist()), rows * len(zeroth) + (rows << shift >> 40)  # of rounding
        if (zeroth < 0).any() or abs(total - (rows << shift)) > slack:
            raise FittingError(
                f"expected shares of {rows} rows in the components, got {total / 2**shift:.6g} together"
            )
        # In its own step, a value less the mean is at most twice a share, and a product of two such values too.
        most_of = 2.0 * zeroth.astype(np.float64)[:, None] * (1 + 1e-9) + 2 * rows
        squares = second[:, _squares(question.arrays)]
        too_large = any((np.abs(own.astype(np.float64)) > most_of).any() for own in (first, second))
        if too_large or (squares < 0).any():
            raise FittingError("its sums are not those of any rows")


class Mixture:
    """The server's half.

    Parameters
    ----------
    components : int
    width : int
        Columns of the rows, d.
    seed : int
        Of the k-means start.
    regularization : float
        Added to each variance.
    full : bool
        Whether covariances are full.
    """

    def __init__(
        self, *, components: int, width: int, seed: int, regularization: float, full: bool = False
    ) -> None:
        self.components, self.width, self.seed = components, width, seed
        self.regularization, self.full = regularization, full
        self.answers: Answers = MixtureAnswers()

    def empty(self) -> dict[str, NDArray[Any]]:
        """The model before its start, of no rows."""
        pairs = _pairs(self.width, full=self.full)
        return {
            "weights": np.full(self.components, 1 / self.components),
            "means": np.zeros((self.components, self.width)),
            "variances": np.tile([float(one == other) for one, other in pairs], (self.components, 1)),
            "exponents": np.zeros(self.width, dtype=np.int64),
            "rows": np.zeros(1, dtype=np.int64),
        }

    def step(self, model: Arrays, ask: Ask) -> Arrays:
        """One iteration; before the first one, the clusters of k-means as components."""
        if model["rows"][0]:
            return self._moved(Question(SOFT, model), ask)
        told, exponents = take_scale(SCALE, self.width, ask, answers=self.answers)
        rows = np.array([sum(told.values())])
        means = self._start(ask)
        return self._moved(Question(HARD, {**model, "means": means, "exponents": exponents, "rows": rows}), ask)

    def results(self, model: Arrays, rows: Floats) -> Floats:
        """Negative logarithms of the joint densities, [n, k]."""
        return negative_log_joint(model, rows)

    def _start(self, ask: Ask) -> Floats:
        """The centroids of k-means."""

        def asked_by_kmeans(question: ClusterQuestion) -> Any:
            return asked(Question(START + question.kind, question.to_arrays()), ask, answers=self.answers)

        lloyd = Lloyd(seed=self.seed)
        found = Centroids(np.zeros((self.components, self.width)), np.zeros(self.components, dtype=np.int64))
        try:
            for _ in range(MOST_STARTING):
                before, found = found, lloyd.iterate(found, asked_by_kmeans)
                if found is before:
                    break
        except ClustersError as error:
            raise FittingError(str(error)) from None
        return found.places

    def _moved(self, question: Question, ask: Ask) -> Arrays:
        """The model of which each row's shares are those in the question's.

        Raises
        ------
        FittingError
            A covariance is not positive definite.
        """
        model, rows = question.arrays, int(question.arrays["rows"][0])
        answers = asked(question, ask, answers=self.answers)
        if (counted := sum(int(answer["rows"][0]) for answer in answers.values())) != rows:
            raise FittingError(f"expected sums of {rows} rows, as at the start, got {counted}")
        shifts = _shifts(model)
        sizes = np.ldexp(added(answers, "zeroth").astype(np.float64), -int(shifts[0]))
        filled = sizes >= EMPTY
        by = np.where(filled, sizes, 1.0)[:, None]
        width = self.width
        first = np.ldexp(added(answers, "first") / by, -shifts[1 : 1 + width].astype(np.int32))
        second = np.ldexp(added(answers, "second") / by, -shifts[1 + width :].astype(np.int32))
        bound = np.ldexp(1.0, model["exponents"].astype(np.int32))
        means = np.clip(model["means"] + first, -bound, bound)
        pairs, squares = _pairs_of(model), _squares(model)
        variances = second - first[:, pairs[:, 0]] * first[:, pairs[:, 1]]
        variances[:, squares] = np.maximum(variances[:, squares], 0.0) + self.regularization
        # As scikit-learn has it: a component without rows keeps a weight whose logarithm is finite.
        weights = sizes + 10 * np.finfo(np.float64).eps
        moved = {
            **model,
            "weights": weights / weights.sum(),
            "means": np.where(filled[:, None], means, model["means"]),
            "variances": np.where(filled[:, None], variances, model["variances"]),
        }
        if _is_full(moved) and _factors(moved) is None:
            raise FittingError(
                "the covariance of a component is not positive definite: inputs depend on one another there; "
                f"set model.regularization larger than {self.regularization:g}, or model.covariance=diag"
            )
        return moved


def negative_log_joint(model: Arrays, rows: Floats) -> Floats:
    """For each row and component, the negative logarithm of weight times density.

    Added up column by column, so that a row has the same bits whichever rows stand beside it.

    Parameters
    ----------
    rows : ndarray [n, d], float64

    Returns
    -------
    ndarray [n, k], float64
    """
    weights, means, variances = model["weights"], model["means"], model["variances"]
    found = np.zeros((len(weights), len(rows)))
    columns = np.ascontiguousarray(rows.T)
    if _is_full(model):
        factors = _factors(model)
        assert factors is not None, "checked where the model was made, or read"
        for own, weight, mean, factor in zip(found, weights, means, factors, strict=True):
            own += _mahalanobis(columns, mean, factor) / 2
            own += np.log(np.diagonal(factor)).sum() + len(mean) / 2 * np.log(2 * np.pi) - np.log(weight)
        return np.ascontiguousarray(found.T)
    for own, weight, mean, variance in zip(found, weights, means, variances, strict=True):
        for column, place, spread in zip(columns, mean, variance, strict=True):
            step = column - place
            own += step * step / spread + np.log(2 * np.pi * spread)
        own /= 2
        own -= np.log(weight)
    return np.ascontiguousarray(found.T)


def log_likelihoods(joint: Floats) -> Floats:
    """Of each row, from `negative_log_joint`, [n]."""
    columns = np.ascontiguousarray(-joint.T)
    top = columns.max(axis=0)
    total = np.zeros(len(joint))
    for column in columns:
        total += np.exp(column - top)
    likelihoods: Floats = top + np.log(total)
    return likelihoods


def log_shares(joint: Floats) -> Floats:
    """Logarithms of each component's share of a row, from `negative_log_joint`, [n, k]."""
    return -joint - log_likelihoods(joint)[:, None]


def _mahalanobis(columns: Floats, mean: Floats, factor: Floats) -> Floats:
    """Squared distances of rows from a mean, in units of a covariance, of which a triangular factor is given.

    Parameters
    ----------
    columns : ndarray [d, n], float64
    """
    total, solved = np.zeros(columns.shape[1]), np.empty_like(columns)
    for place, column in enumerate(columns):
        rest = column - mean[place]
        for before in range(place):
            rest -= factor[place, before] * solved[before]
        solved[place] = rest / factor[place, place]
        total += solved[place] * solved[place]
    return total


def _factors(model: Arrays) -> list[Floats] | None:
    """The lower Cholesky factor [d, d] of each component's full covariance; None where one has none."""
    width = model["means"].shape[1]
    upper, found = np.triu_indices(width), []
    for packed in model["variances"]:
        covariance = np.zeros((width, width))
        covariance[upper] = packed
        covariance.T[upper] = packed
        try:
            found.append(np.linalg.cholesky(covariance).astype(np.float64))
        except np.linalg.LinAlgError:
            return None
    return found


def _pairs(width: int, *, full: bool) -> list[tuple[int, int]]:
    """Which two columns each entry of a covariance is of."""
    return [(one, other) for one in range(width) for other in range(one, width if full else one + 1)]


def _is_full(model: Arrays) -> bool:
    return bool(model["variances"].shape[1] != model["means"].shape[1])


def _pairs_of(model: Arrays) -> Ints:
    """`_pairs` of a model's covariances, [entries, 2]."""
    pairs = _pairs(model["means"].shape[1], full=_is_full(model))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _squares(model: Arrays) -> Ints:
    """The entries of a model's covariances that are variances."""
    pairs = _pairs_of(model)
    return np.flatnonzero(pairs[:, 0] == pairs[:, 1])


def _moments(rows: Floats, shares: Floats, model: Arrays) -> Arrays:
    """Exact sums of shares [k, n], and by them of values less the component's mean, and of products of two."""
    means, shifts = model["means"], _shifts(model)
    components, width = means.shape
    pairs = _pairs_of(model).tolist()
    zeroth = np.array([_whole(own, shifts[0]) for own in shares], dtype=np.int64)
    first = np.zeros((components, width), dtype=np.int64)
    second = np.zeros((components, len(pairs)), dtype=np.int64)
    columns = np.ascontiguousarray(rows.T)
    for component in range(components):
        for place, (column, other) in enumerate(pairs):
            weighted = shares[component] * (columns[column] - means[component, column])
            if column == other:
                first[component, column] = _whole(weighted, shifts[1 + column])
            step = columns[other] - means[component, other]
            second[component, place] = _whole(weighted * step, shifts[1 + width + place])
    return {"rows": np.array([len(rows)]), "zeroth": zeroth, "first": first, "second": second}


def _whole(values: Floats, shift: Any) -> int:
    return int(np.rint(np.ldexp(values, int(shift))).astype(np.int64).sum())


def _shifts(model: Arrays) -> Ints:
    """Of shares, of each column less a mean, and of products of two such columns, [1 + d + entries]."""
    exponents, pairs = model["exponents"], _pairs_of(model)
    products = exponents[pairs[:, 0]] + exponents[pairs[:, 1]] + 2
    # A share is at most 1; a value less the mean at most twice the largest value.
    return shifts_for(np.concatenate([[1], exponents + 1, products]), rows=int(model["rows"][0]))


def _check_model(question: Question) -> None:
    """Check what the server, or somebody else, made up."""
    arrays = question.arrays
    components, width = arrays["means"].shape
    exponents, rows = arrays["exponents"], arrays["rows"]
    fits = (
        arrays["weights"].shape == (components,)
        and arrays["variances"].shape in [(components, width), (components, width * (width + 1) // 2)]
        and exponents.shape == (width,)
        and rows.shape == (1,)
    )
    if not fits or not components:
        raise FittingError(f"{question.kind}: the shapes of its arrays contradict each other")
    there = 1 <= int(rows[0]) <= MOST_ROWS and ((exponents >= LEAST) & (exponents <= MOST)).all()
    positive = (arrays["variances"][:, _squares(arrays)] > 0).all()
    definite = positive and (not _is_full(arrays) or _factors(arrays) is not None)
    if not there or not (arrays["weights"] > 0).all() or not definite:
        raise FittingError(
            f"{question.kind}: expected rows, magnitudes from 2**{LEAST} to 2**{MOST}, and weights and "
            "variances above 0, of which full covariances are positive definite"
        )


def _start_question(question: Question) -> ClusterQuestion:
    try:
        return ClusterQuestion.from_arrays(question.kind.removeprefix(START), question.arrays)
    except ClustersError as error:
        raise FittingError(str(error)) from None
