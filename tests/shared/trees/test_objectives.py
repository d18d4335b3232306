"""Gradients are derivatives of losses, starts are their minima."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from shared.runtime.errors import ConfigError, DataError
from shared.trees.objectives import Objective, objective_of

NAMES = ["squared_error", "poisson", "logistic", "softmax"]


def targets_of(objective: Objective, rows: int) -> np.ndarray:
    draw = np.random.default_rng(0)
    if objective.name in ("logistic", "softmax"):
        return draw.integers(0, 2 if objective.name == "logistic" else 3, rows).astype(float)
    return draw.poisson(2.0, rows).astype(float)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_derivatives(name: str) -> None:
    objective = objective_of(name, 3)
    targets = targets_of(objective, 50)
    scores = np.random.default_rng(1).standard_normal((objective.outputs, 50))
    gradients, hessians = objective.gradients(scores, targets)
    step = 1e-4
    for output in range(objective.outputs):
        move = np.zeros_like(scores)
        move[output] = step
        up, here, down = (objective.losses(scores + times * move, targets) for times in (1, 0, -1))
        assert np.allclose(gradients[output], (up - down) / (2 * step), atol=1e-6)
        assert np.allclose(hessians[output], (up - 2 * here + down) / step**2, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_start_is_the_best_constant(name: str) -> None:
    objective = objective_of(name, 3)
    targets = targets_of(objective, 300)
    start = objective.start(objective.columns(targets).mean(axis=1))

    def loss(constants: np.ndarray) -> float:
        return float(objective.losses(np.repeat(constants[:, None], 300, axis=1), targets).mean())

    found = minimize(loss, np.zeros(objective.outputs), tol=1e-12)
    assert loss(start) == pytest.approx(found.fun, abs=1e-8)


def test_parabolas_are_above_the_absolute_error() -> None:
    objective, scores = objective_of("absolute_error"), np.array([[-3.0, -0.01, 0.0, 0.2, 1.5]])
    targets, step = np.zeros(5), 1e-6
    gradients, curvatures = objective.gradients(scores, targets)
    up, here, down = (objective.losses(scores + move, targets) for move in (step, 0, -step))
    assert np.allclose(gradients[0], (up - down) / (2 * step), atol=1e-6)
    for move in np.linspace(-4, 4, 41):
        parabola = here + move * gradients[0] + move**2 * curvatures[0] / 2
        assert (parabola >= objective.losses(scores + move, targets) - 1e-12).all()


def test_what_has_no_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of"):
        objective_of("quantile")
    with pytest.raises(ConfigError, match="classes: expected 2 to 1000, got 1"):
        objective_of("softmax", 1)
    with pytest.raises(DataError, match="expected 0 or more for poisson, got -1"):
        objective_of("poisson").check(np.array([1.0, -1.0]))
    with pytest.raises(DataError, match="all are 0"):
        objective_of("poisson").start(np.array([0.0]))
    with pytest.raises(DataError, match=r"has one of the classes \[1\]"):
        objective_of("softmax", 3).start(np.array([0.5, 0.0, 0.5]))
    with pytest.raises(DataError, match="expected N numbers"):
        objective_of("logistic").check(np.array(["a"]))
