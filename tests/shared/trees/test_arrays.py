"""Models of trees as arrays: the same model back, and nothing that is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.runtime.errors import TreesError
from shared.trees.arrays import from_arrays, to_arrays
from shared.trees.model import TreeEnsemble
from shared.trees.objectives import objective_of
from shared.trees.settings import TreeSettings
from tests.shared.trees.trees_kit import table, train

DATA = table(150)
SETTINGS = TreeSettings(rounds=3, max_depth=3, min_samples_leaf=3)


@pytest.fixture(scope="module", params=["logistic", "softmax"])
def model(request: pytest.FixtureRequest) -> TreeEnsemble:
    return train(DATA, "random", objective_of(request.param, 3), SETTINGS).ensemble


def again(model: TreeEnsemble, arrays: dict[str, Any], **more: Any) -> TreeEnsemble:
    return from_arrays(arrays, features=model.features, objective=model.objective, **more)


def test_a_model_comes_back(model: TreeEnsemble) -> None:
    assert again(model, to_arrays(model)) == model
    empty = TreeEnsemble(model.features, model.objective, model.start, ())
    assert again(model, to_arrays(empty)) == empty


def test_trees_that_are_known_are_the_same_objects(model: TreeEnsemble) -> None:
    found = again(model, to_arrays(model), known=model.rounds[:2])
    pairs = zip(found.rounds, model.rounds, strict=True)
    same = [all(one is other for one, other in zip(*pair, strict=True)) for pair in pairs]
    assert same == [True, True, False]


DAMAGE = {
    "a part less": lambda own: {name: own[name] for name in [*own][1:]},
    "another order": lambda own: {name: own[name] for name in reversed(own)},
    "another type": lambda own: {**own, "value": own["value"].astype(np.float32)},
    "not a number": lambda own: {**own, "threshold": own["threshold"] + np.nan},
    "a node less": lambda own: {**own, "left": own["left"][:-1]},
    "a tree less": lambda own: {**own, "nodes": own["nodes"][:-1]},
    "no node": lambda own: {**own, "nodes": np.append(own["nodes"], 0)},
    "huge values": lambda own: {**own, "value": own["value"] * 1e200},
    "a loop": lambda own: {**own, "left": np.where(own["left"] > 0, 0, own["left"])},
    "an input that is not there": lambda own: {**own, "feature": own["feature"] + 50},
    "fewer levels": lambda own: {**own, "levels": own["levels"][:-1]},
    "a level that is not there": lambda own: {**own, "levels": own["levels"] + 200},
    "negative levels": lambda own: {**own, "levels": own["levels"] - 100},
    "other scores": lambda own: {**own, "start": np.zeros(7)},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_no_model_is_refused(damage: Any, model: TreeEnsemble) -> None:
    with pytest.raises(TreesError, match="no model of trees"):
        again(model, damage(to_arrays(model)))
