"""Predictions of trained trees are what the clients had while they trained; oracles by scikit-learn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import d2_log_loss_score, roc_auc_score

from shared.runtime.errors import DataError
from shared.trees.bins import Feature
from shared.trees.client import ClientTrees
from shared.trees.objectives import Logistic, objective_of
from shared.trees.settings import TreeSettings
from shared.trees.training import train_trees
from tests.shared.trees.trees_kit import LEVELS, table, train


@pytest.mark.parametrize("name", ["squared_error", "poisson", "logistic", "softmax"])
def test_predictions_have_the_loss_of_the_last_round(name: str) -> None:
    data, objective = table(), objective_of(name, 3)
    server = train(
        data, "random", objective, TreeSettings(rounds=8, max_depth=5, min_samples_leaf=2, max_bins=32)
    )
    model = server.ensemble
    assert server.losses[-1][0] < server.losses[0][0]
    for place, rows in enumerate((~data.validation, data.validation)):
        losses = objective.losses(model.scores(data.inputs[rows]), data.targets(name)[rows])
        assert np.average(losses, weights=data.weights[rows]) == pytest.approx(
            server.losses[-1][place], rel=1e-12
        )
    classes = {"logistic": 2, "softmax": 3}.get(name)
    assert model.predict(data.inputs).shape == ((400,) if classes is None else (400, classes))


def test_early_stopping_keeps_the_best_round() -> None:
    data, objective = table(), Logistic()
    server = train(
        data, "random", objective, TreeSettings(rounds=200, learning_rate=0.8, min_samples_leaf=2, patience=3)
    )
    held_out = [loss for _, loss in server.losses]
    assert len(server.ensemble.rounds) == int(np.argmin(held_out)) == len(held_out) - 4
    rows = data.validation
    losses = objective.losses(server.ensemble.scores(data.inputs[rows]), data.targets("logistic")[rows])
    assert np.average(losses, weights=data.weights[rows]) == pytest.approx(min(held_out), rel=1e-12)


def test_unknown_levels_are_missing_values() -> None:
    data = table()
    model = train(data, "pooled", Logistic(), TreeSettings(rounds=5, min_samples_leaf=2)).ensemble
    without, strange = data.inputs.copy(), data.inputs.copy()
    without[:, 2] = np.nan
    for value in (-1.0, LEVELS, 1e300, 0.5):
        strange[:, 2] = value
        assert np.array_equal(model.predict(strange), model.predict(without))


def test_a_model_is_told_from_others() -> None:
    data = table()
    chosen = TreeSettings(rounds=3)
    model = train(data, "pooled", Logistic(), chosen).ensemble
    assert model == train(data, "pooled", Logistic(), chosen).ensemble
    assert model != train(data, "pooled", Logistic(), dataclasses.replace(chosen, lambda_l2=1.5)).ensemble
    assert model != "a model"
    assert model.importance().sum() == pytest.approx(1.0)
    assert model.importance()[[7, 8]].tolist() == [0.0, 0.0]  # constant and empty
    with pytest.raises(DataError, match="expected 9 columns"):
        model.predict(data.inputs[:, :3])


def _tables() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    cancer = load_breast_cancer(return_X_y=True)
    made = make_classification(8000, 12, n_informative=8, n_clusters_per_class=4, flip_y=0.05, random_state=0)
    return {"breast cancer": cancer, "generated": made}


@pytest.mark.parametrize("which", ["breast cancer", "generated"])
@pytest.mark.parametrize("growth", ["depthwise", "leafwise"])
def test_as_good_as_scikit_learn(which: str, growth: str) -> None:
    inputs, targets = _tables()[which]
    held_out = np.arange(len(inputs)) % 2 == 1
    features = [Feature(str(place)) for place in range(inputs.shape[1])]
    depthwise = growth == "depthwise"
    shape = {"max_depth": 6, "max_leaves": None} if depthwise else {"max_depth": 30, "max_leaves": 31}
    chosen = TreeSettings(rounds=60, growth=growth, lambda_l2=0.0, **shape)
    parts = np.array_split(np.flatnonzero(~held_out), 3)
    clients = {
        str(number): ClientTrees(inputs[rows], targets[rows], features=features, objective=Logistic())
        for number, rows in enumerate(parts)
    }
    model = train_trees(clients, features=features, objective=Logistic(), settings=chosen).ensemble
    theirs = HistGradientBoostingClassifier(
        max_iter=60,
        max_depth=6 if depthwise else 30,
        max_leaf_nodes=None if depthwise else 31,
        early_stopping=False,
    ).fit(inputs[~held_out], targets[~held_out])
    ours = model.predict(inputs[held_out])[:, 1]
    reference = theirs.predict_proba(inputs[held_out])[:, 1]
    truth = targets[held_out]
    assert roc_auc_score(truth, ours) == pytest.approx(roc_auc_score(truth, reference), abs=0.002)
    assert d2_log_loss_score(truth, ours) == pytest.approx(d2_log_loss_score(truth, reference), abs=0.02)
