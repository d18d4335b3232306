"""`Components`: principal components of all clients' rows, from exact sums; what they say is T-squared and Q.

Jackson and Mudholkar (1979), Control Procedures for Residuals Associated With Principal Component Analysis.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.anomalies.limits import EDGES, UNKNOWN, check_counts, exact_limits, without_edges
from shared.runtime.errors import FittingError
from shared.sums.exact import Floats, Ints, shifts_for
from shared.sums.order import counts_at_most
from shared.sums.questions import Answers, Arrays, Ask, Question, Shapes, added, asked, expect
from shared.sums.scale import check_scale, scale_answer, scale_layout, take_scale

SCALE, SUMS, PRODUCTS, COUNTS = "pca/scale", "pca/sums", "pca/products", "pca/counts"
_MODEL = {
    "center": ("float64", 1),
    "axes": ("float64", 2),
    "variances": ("float64", 1),
    "kept": ("int64", 1),
    "limits": ("float64", 1),
}
_NOTHING = 1e-12  # share of the variance below which a component is the rounding of numbers


class ComponentAnswers:
    """A client's half."""

    def layout(self, question: Question) -> Shapes:
        """The arrays of an answer."""
        if question.kind == SCALE:
            return scale_layout(question)
        if question.kind == SUMS:
            expect(question, {"shifts": ("int64", 1)})
            return {"sums": (question.arrays["shifts"].shape, "int64")}
        if question.kind == PRODUCTS:
            expect(question, {"center": ("float64", 1), "shifts": ("int64", 2)})
            return {"products": (question.arrays["shifts"].shape, "int64")}
        if question.kind == COUNTS:
            expect(question, {**_MODEL, EDGES: ("float64", 2)})
            return {"counts": (question.arrays[EDGES].shape, "int64")}
        raise FittingError(f"{question.kind!r} is no question of principal components")

    def answer(self, question: Question, rows: Floats) -> Arrays:
        """Answer a question."""
        arrays, width = question.arrays, rows.shape[1]
        first = next(iter(self.layout(question).values()))[0]
        if question.kind == SCALE:
            _fit(int(arrays["width"][0]), width)
            return scale_answer(rows)
        if question.kind == COUNTS:
            _fit(len(arrays["center"]), width)
            return {"counts": counts_at_most(statistics(without_edges(arrays), rows), arrays[EDGES])}
        _fit(first[0], width)
        if question.kind == SUMS:
            return {"sums": _whole(rows.T, arrays["shifts"])}
        centred = (rows - arrays["center"]).T
        found = np.zeros((width, width), dtype=np.int64)
        for place in range(width):
            found[place] = _whole(centred * centred[place], arrays["shifts"][place])
        return {"products": found}

    def check(self, question: Question, answer: Arrays) -> None:
        """Check that an answer could be true."""
        if question.kind == SCALE:
            check_scale(answer)
        elif question.kind == COUNTS:
            check_counts(answer["counts"])
        elif question.kind == PRODUCTS:
            products = answer["products"]
            if not np.array_equal(products, products.T) or (products.diagonal() < 0).any():
                raise FittingError("its products of columns are not those of any rows")


class Components:
    """The server's half.

    Parameters
    ----------
    width : int
        Columns of the rows, d.
    keep : int or float
        How many components, or the share of the variance that they explain together.
    quantile : float
        Of T-squared and Q over the training rows, the control limits.
    """

    def __init__(self, *, width: int, keep: int | float, quantile: float) -> None:
        self.width, self.keep, self.quantile = width, keep, quantile
        self.answers: Answers = ComponentAnswers()

    def empty(self) -> dict[str, NDArray[Any]]:
        """The model before its fit: nothing is kept, and no limit known."""
        return {
            "center": np.zeros(self.width),
            "axes": np.zeros((self.width, self.width)),
            "variances": np.zeros(self.width),
            "kept": np.zeros(1, dtype=np.int64),
            "limits": np.full(2, UNKNOWN),
        }

    def step(self, model: Arrays, ask: Ask) -> Arrays:
        """Mean, then covariance, its components, and the limits; the whole fit."""
        if model["kept"][0]:
            return model
        told, exponents = take_scale(SCALE, self.width, ask, answers=self.answers)
        rows = sum(told.values())
        if rows < 2:
            raise FittingError("principal components need two training rows or more, and there is one")
        shifts = shifts_for(exponents, rows=rows)
        sums = added(asked(Question(SUMS, {"shifts": shifts}), ask, answers=self.answers), "sums")
        center = np.ldexp(sums / rows, -shifts.astype(np.int32))
        # A value less the mean is at most twice the largest value.
        of_products = exponents[:, None] + exponents[None, :] + 2
        shifts = shifts_for(of_products, rows=rows)
        question = Question(PRODUCTS, {"center": center, "shifts": shifts})
        products = added(asked(question, ask, answers=self.answers), "products")
        covariance = np.ldexp(products / (rows - 1), -shifts.astype(np.int32))
        fitted = {**self._components(covariance), "center": center, "limits": np.full(2, UNKNOWN)}
        limits = exact_limits(
            COUNTS, fitted, ask, answers=self.answers, quantile=self.quantile, rows=rows, columns=2
        )
        return {**fitted, "limits": limits}

    def results(self, model: Arrays, rows: Floats) -> Floats:
        """T-squared and Q, [n, 2]."""
        return statistics(model, rows)

    def _components(self, covariance: Floats) -> dict[str, NDArray[Any]]:
        variances, axes = np.linalg.eigh((covariance + covariance.T) / 2)
        variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(self.width)])
        total = float(variances.sum())
        if not total:
            raise FittingError(
                "every input is the same in all normal training rows, so nothing tells what is normal; name "
                "other inputs (data.inputs)"
            )
        there = int((variances > _NOTHING * total).sum())
        if isinstance(self.keep, int):
            if self.keep > there:
                raise FittingError(
                    f"model.components={self.keep}, and the normal training rows vary along {there}; set it to "
                    f"{there} or fewer"
                )
            kept = self.keep
        else:
            share = np.cumsum(variances) / total
            kept = min(int(np.searchsorted(share, self.keep, side="left")) + 1, there)
        return {"axes": np.ascontiguousarray(axes), "variances": variances, "kept": np.array([kept])}


def statistics(model: Arrays, rows: Floats) -> Floats:
    """T-squared over the kept components, and the mean square that these leave of an input: Q by their number.

    Added up column by column: a product of matrices has other last bits for other numbers of rows.

    Parameters
    ----------
    rows : ndarray [n, d], float64

    Returns
    -------
    ndarray [n, 2], float64
    """
    centred, axes = (rows - model["center"]).T, model["axes"]
    kept, width = int(model["kept"][0]), len(axes)
    found, rest = np.zeros((len(rows), 2)), centred.copy()
    for component in range(kept):
        axis = axes[:, component]
        score = np.zeros(len(rows))
        for weight, column in zip(axis, centred, strict=True):
            score += weight * column
        found[:, 0] += score * score / model["variances"][component]
        rest -= axis[:, None] * score
    for column in rest:
        found[:, 1] += column * column
    found[:, 1] /= max(width, 1)
    return found


def _whole(columns: Floats, shifts: Ints) -> Ints:
    """The sums of columns [d, n], as whole numbers."""
    return np.array(
        [
            np.rint(np.ldexp(column, int(shift))).astype(np.int64).sum()
            for column, shift in zip(columns, shifts, strict=True)
        ],
        dtype=np.int64,
    )


def _fit(expected: int, width: int) -> None:
    if expected != width:
        raise FittingError(f"the server asks about {expected} columns, and the rows have {width}")
