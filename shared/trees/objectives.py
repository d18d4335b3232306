"""`Objective`: loss, gradient and Hessian of a prediction, and where boosting starts.

A model has one raw score for each row, or one for each class (Friedman 2001; for classes, his L_K-TreeBoost
with the diagonal of the Hessian, as LightGBM and XGBoost have it). ``scores`` are float64 [K, N], K raw scores
of N rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax, xlogy

from shared.runtime.errors import ConfigError, DataError
from shared.trees.fixed_point import Floats

MAX_CLASSES = 1000
NEAR = 0.05  # absolute errors below it are squared
LEAST_SHARE = float(np.finfo(np.float32).eps)  # what counts in a loss where no tree names a class


class Objective(ABC):
    """What boosting minimises.

    Attributes
    ----------
    name : str
        In files.
    outputs : int
        K.
    averages : bool
        Whether a raw score is the mean of the trees, not their sum.
    """

    name: str
    outputs: int = 1
    averages: bool = False

    def check(self, targets: NDArray[Any]) -> None:
        """Make sure that these are targets, [N].

        Raises
        ------
        DataError
        """
        if targets.ndim != 1 or targets.dtype.kind not in "fiub":
            raise DataError(
                f"targets: expected N numbers, got an array of {targets.dtype}, shape {targets.shape}"
            )
        if not np.isfinite(targets).all():
            raise DataError(
                f"targets: {int((~np.isfinite(targets)).sum()):,} are missing or infinite; drop these rows"
            )

    def columns(self, targets: Floats) -> Floats:
        """What is averaged to get the start, [K, N]."""
        return targets[None]

    @abstractmethod
    def start(self, means: Floats) -> Floats:
        """The best constant raw scores, [K], from the weighted means of `columns` over all training rows.

        Raises
        ------
        DataError
            There is none, such as for rows of one class.
        """

    @abstractmethod
    def gradients(self, scores: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """First and second derivative of the loss by the raw scores, each [K, N]."""

    @abstractmethod
    def losses(self, scores: Floats, targets: Floats) -> Floats:
        """The loss of each row, [N]."""

    @abstractmethod
    def predictions(self, scores: Floats) -> Floats:
        """What a user wants: [N], or the probability of each class, [N, classes]."""


class SquaredError(Objective):
    """Half the squared error."""

    name = "squared_error"

    def start(self, means: Floats) -> Floats:
        """The mean."""
        return means

    def gradients(self, scores: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """The residual, and 1."""
        return scores - targets, np.ones_like(scores)

    def losses(self, scores: Floats, targets: Floats) -> Floats:
        """Half the squared error."""
        return np.asarray(0.5 * np.square(scores[0] - targets))

    def predictions(self, scores: Floats) -> Floats:
        """The raw score."""
        return np.asarray(scores[0])


class AbsoluteError(Objective):
    """The absolute error, which is squared within `NEAR` of 0.

    The second derivative of an absolute error is 0. In its place stands that of the parabola that touches the
    loss and is nowhere below it (Hunter and Lange 2004), so that each step lowers the loss, and both are sums.
    Targets are expected to have a deviation of about 1.
    """

    name = "absolute_error"

    def start(self, means: Floats) -> Floats:
        """The mean: a median is no sum."""
        return means

    def gradients(self, scores: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """The sign of the residual, and 1 divided by its size; within `NEAR`, those of its square."""
        residuals = scores - targets
        curvature = 1 / np.maximum(np.abs(residuals), NEAR)
        return residuals * curvature, curvature

    def losses(self, scores: Floats, targets: Floats) -> Floats:
        """The absolute error."""
        size = np.abs(scores[0] - targets)
        return np.asarray(np.where(size < NEAR, (np.square(size) / NEAR + NEAR) / 2, size))

    def predictions(self, scores: Floats) -> Floats:
        """The raw score."""
        return np.asarray(scores[0])


class Poisson(Objective):
    """Poisson deviance of counts or rates; the raw score is the logarithm of the mean."""

    name = "poisson"

    def check(self, targets: NDArray[Any]) -> None:
        """Targets are not negative."""
        super().check(targets)
        if (targets < 0).any():
            raise DataError(f"targets: expected 0 or more for poisson, got {targets.min()}")

    def start(self, means: Floats) -> Floats:
        """The logarithm of the mean."""
        if not means[0] > 0:
            raise DataError("targets: all are 0, for which poisson has no model")
        return np.log(means)

    def gradients(self, scores: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """Mean minus target, and mean."""
        means = np.exp(scores)
        return means - targets, means

    def losses(self, scores: Floats, targets: Floats) -> Floats:
        """Half the deviance."""
        losses: Floats = np.exp(scores[0]) - targets * (scores[0] + 1) + xlogy(targets, targets)
        return losses

    def predictions(self, scores: Floats) -> Floats:
        """The mean."""
        return np.asarray(np.exp(scores[0]), dtype=np.float64)


class _Classes(Objective):
    classes: int

    def check(self, targets: NDArray[Any]) -> None:
        """Targets are 0 to ``classes - 1``."""
        super().check(targets)
        strange = targets[(targets < 0) | (targets >= self.classes) | (targets != np.floor(targets))]
        if len(strange):
            raise DataError(
                f"targets: expected the classes 0 to {self.classes - 1}, "
                f"got {strange[0]:g} ({len(strange):,} such rows)"
            )


class Logistic(_Classes):
    """Logistic loss of two classes; the raw score is the log-odds of class 1."""

    name = "logistic"
    classes = 2

    def start(self, means: Floats) -> Floats:
        """The log-odds of class 1."""
        if not 0 < means[0] < 1:
            raise DataError(f"targets: expected rows of two classes, all have class {means[0]:.0f}")
        return np.log(means) - np.log1p(-means)

    def gradients(self, scores: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """Probability minus target, and its variance."""
        positive = expit(scores)
        return positive - targets, positive * (1 - positive)

    def losses(self, scores: Floats, targets: Floats) -> Floats:
        """The negative logarithm of the probability of the true class."""
        right = np.where(targets > 0, scores[0], -scores[0])
        # As logaddexp(0, -right), six times as fast.
        return np.asarray(np.log1p(np.exp(-np.abs(right))) - np.minimum(right, 0.0))

    def predictions(self, scores: Floats) -> Floats:
        """Of both classes."""
        return np.stack([expit(-scores[0]), expit(scores[0])], axis=1)


class Softmax(_Classes):
    """Cross-entropy of three or more classes, with a tree of each class in a round.

    Raises
    ------
    ConfigError
    """

    name = "softmax"

    def __init__(self, classes: int) -> None:
        if not 2 <= classes <= MAX_CLASSES:
            raise ConfigError(f"classes: expected 2 to {MAX_CLASSES}, got {classes}")
        self.classes = self.outputs = classes

    def columns(self, targets: Floats) -> Floats:
        """1 for the true class, else 0."""
        return np.asarray(targets == np.arange(self.classes)[:, None], dtype=np.float64)

    def start(self, means: Floats) -> Floats:
        """The logarithms of the shares."""
        if not (means > 0).all():
            absent = np.flatnonzero(means <= 0).tolist()
            raise DataError(
                f"targets: no training row at any client has one of the classes {absent}; leave these out"
            )
        return np.log(means)

    def gradients(self, scores: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """Probability minus target, and its variance."""
        shares = softmax(scores, axis=0)
        return shares - self.columns(targets), shares * (1 - shares)

    def losses(self, scores: Floats, targets: Floats) -> Floats:
        """The negative logarithm of the probability of the true class."""
        logarithms = np.take_along_axis(log_softmax(scores, axis=0), targets.astype(np.int64)[None], axis=0)
        return np.asarray(-logarithms[0])

    def predictions(self, scores: Floats) -> Floats:
        """Of each class."""
        return np.asarray(softmax(scores, axis=0).T)


class Mean(SquaredError):
    """The number that a forest tells: the mean of its trees."""

    name = "mean"
    averages = True


class Shares(_Classes):
    """The shares of the classes that a forest tells, as means of its trees; of two classes that of class 1.

    Raises
    ------
    ConfigError
    """

    name = "shares"
    averages = True

    def __init__(self, classes: int) -> None:
        if not 2 <= classes <= MAX_CLASSES:
            raise ConfigError(f"classes: expected 2 to {MAX_CLASSES}, got {classes}")
        self.classes = classes
        self.outputs = 1 if classes == 2 else classes

    def columns(self, targets: Floats) -> Floats:
        """1 for the true class, else 0; of two classes, for class 1."""
        classes = np.arange(self.classes)[-self.outputs :, None]
        return np.asarray(targets == classes, dtype=np.float64)

    def start(self, means: Floats) -> Floats:
        """The shares."""
        return means

    def gradients(self, scores: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """None: trees of a forest do not improve one another."""
        raise AssertionError("a forest has no gradients")

    def losses(self, scores: Floats, targets: Floats) -> Floats:
        """The negative logarithm of the share of the true class."""
        shares = np.take_along_axis(self.predictions(scores), targets.astype(np.int64)[:, None], axis=1)
        return np.asarray(-np.log(np.maximum(shares[:, 0], LEAST_SHARE)))

    def predictions(self, scores: Floats) -> Floats:
        """Of each class."""
        return np.asarray(scores.T if len(scores) > 1 else np.stack([1 - scores[0], scores[0]], axis=1))


def objective_of(name: str, classes: int = 0) -> Objective:
    """The objective of a name.

    Raises
    ------
    ConfigError
    """
    if name == Softmax.name:
        return Softmax(classes)
    if name == Shares.name:
        return Shares(classes)
    simple: dict[str, type[Objective]] = {
        one.name: one for one in (SquaredError, AbsoluteError, Poisson, Logistic, Mean)
    }
    if name not in simple:
        raise ConfigError(f"objective: expected one of {[*simple, Softmax.name, Shares.name]}, got {name!r}")
    return simple[name]()
