"""Trees of other libraries predict in our form what the library itself predicts, and leave as its files."""

from __future__ import annotations

import sys
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from shared.runtime.errors import ConfigError, DataError
from shared.tasks.tables.growth import LibraryGrowth, start_of
from shared.trees.arrays import from_arrays, to_arrays
from shared.trees.bins import Feature
from shared.trees.format import dumps, loads
from shared.trees.libraries.export import model_file
from shared.trees.libraries.forest import ForestGrower
from shared.trees.libraries.installed import require_library
from shared.trees.libraries.lightgbm import OBJECTIVES as OF_LIGHTGBM
from shared.trees.libraries.lightgbm import LightgbmGrower
from shared.trees.libraries.rows import TreeRows, in_32_bits, up_to
from shared.trees.libraries.xgboost import OBJECTIVES as OF_XGBOOST
from shared.trees.libraries.xgboost import XgboostGrower
from shared.trees.model import TreeEnsemble
from shared.trees.objectives import (
    AbsoluteError,
    Logistic,
    Mean,
    Objective,
    Shares,
    Softmax,
    SquaredError,
)
from tests.fuzzing import draws

FEATURES = (Feature("age, in years"), Feature("pain", 9), Feature("rate"), Feature("ward", 40))
CATEGORIES, TREES = [1, 3], 5
BOOSTED = [Logistic(), Softmax(3), SquaredError(), AbsoluteError()]
OF_FOREST = [Shares(2), Shares(3), Mean()]


def rows(objective: Objective, *, weighted: bool = False) -> TreeRows:
    """Gaps in all columns but one, and categories with few and with many levels."""
    rng, size = np.random.default_rng(0), 400
    numbers = (rng.normal(size=size), rng.integers(0, 9, size), rng.normal(size=size).round(1))
    inputs = np.column_stack([*numbers, rng.integers(0, 40, size)]).astype(np.float64)
    signal = inputs[:, 0] + (inputs[:, 1] % 4 == 1) + (inputs[:, 3] % 3 == 1) + rng.normal(0, 0.3, size)
    inputs[:, [0, 1, 3]] = np.where(rng.random((size, 3)) < 0.1, np.nan, inputs[:, [0, 1, 3]])
    targets: Any = signal
    if isinstance(objective, Logistic | Softmax | Shares):
        targets = np.digitize(signal, [0.3] if getattr(objective, "classes", 2) == 2 else [0.0, 1.0])
    return TreeRows(inputs, targets, FEATURES, objective, rng.random(size) if weighted else None)


def with_more_gaps(inputs: np.ndarray) -> np.ndarray:
    return np.where(np.random.default_rng(1).random(inputs.shape) < 0.2, np.nan, inputs)


def grown(table: TreeRows, grower: Any) -> TreeEnsemble:
    objective = table.objective
    start = start_of(objective, *table.start_sums())
    model = TreeEnsemble(FEATURES, objective, start, ())
    return LibraryGrowth(table, grower).grow(model, number=0, count=TREES)


def several(objective: Objective) -> dict[str, Any]:
    return {"num_class": objective.outputs} if objective.outputs > 1 else {}


@pytest.mark.parametrize("objective", BOOSTED, ids=lambda one: one.name)
def test_trees_of_xgboost_predict_what_xgboost_predicts(objective: Objective) -> None:
    table, parameters = rows(objective, weighted=True), {"eta": 0.3, "max_depth": 4}
    model = grown(table, XgboostGrower(table, parameters=parameters, seed=1, threads=1))
    assert any(tree.levels[0] or any(tree.levels) for trees in model.rounds for tree in trees)

    def matrix(inputs: np.ndarray, **more: Any) -> xgboost.DMatrix:
        kinds = ["c" if feature.levels else "q" for feature in FEATURES]
        found = xgboost.DMatrix(inputs, feature_types=kinds, enable_categorical=True, **more)
        margin = np.repeat(model.start[None], len(inputs), axis=0)
        found.set_base_margin(margin if objective.outputs > 1 else margin[:, 0])
        return found

    own = {**parameters, **several(objective), "objective": OF_XGBOOST[objective.name], "nthread": 1}
    booster = xgboost.train(own, matrix(table.inputs, label=table.targets, weight=table.weights), TREES)
    asked = with_more_gaps(table.inputs)
    expected = booster.predict(matrix(asked), output_margin=True)
    assert model.scores(asked).T.squeeze() == pytest.approx(expected, abs=2e-6)

    stored = xgboost.Booster()
    stored.load_model(bytearray(model_file(model, name="xgboost")))
    kinds = ["c" if feature.levels else "float" for feature in FEATURES]
    names = [feature.name for feature in FEATURES]
    named = xgboost.DMatrix(asked, feature_types=kinds, feature_names=names, enable_categorical=True)
    assert stored.predict(named).squeeze() == pytest.approx(_told(model, asked), abs=2e-6)


@pytest.mark.parametrize("objective", BOOSTED, ids=lambda one: one.name)
def test_trees_of_lightgbm_predict_what_lightgbm_predicts(objective: Objective) -> None:
    table, parameters = (
        rows(objective, weighted=True),
        {"num_leaves": 8, "min_data_in_leaf": 5, "min_data_per_group": 10},
    )
    model = grown(table, LightgbmGrower(table, parameters=parameters, seed=1, threads=1))
    assert any(any(tree.levels) for trees in model.rounds for tree in trees)
    start = np.repeat(model.start[None], len(table.inputs), axis=0)
    data = lightgbm.Dataset(
        table.inputs,
        label=table.targets,
        weight=table.weights,
        categorical_feature=CATEGORIES,
        init_score=start if objective.outputs > 1 else start[:, 0],
    )
    own = {
        **parameters,
        **several(objective),
        "objective": OF_LIGHTGBM[objective.name],
        "boost_from_average": False,
        "feature_pre_filter": False,
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
    }
    booster = lightgbm.train(own, data, TREES)
    asked = with_more_gaps(table.inputs)
    expected = booster.predict(asked, raw_score=True).T + model.start[: objective.outputs, None]
    assert model.scores(asked) == pytest.approx(expected.reshape(objective.outputs, -1), abs=1e-12)

    stored = lightgbm.Booster(model_str=model_file(model, name="lightgbm").decode())
    assert stored.predict(asked) == pytest.approx(_told(model, asked), abs=1e-12)


def _told(model: TreeEnsemble, inputs: np.ndarray) -> np.ndarray:
    """What libraries predict: of two classes the probability of class 1."""
    told = model.predict(inputs)
    return told[:, 1] if isinstance(model.objective, Logistic) else told


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("objective", OF_FOREST, ids=["two classes", "three classes", "numbers"])
def test_a_forest_is_that_of_scikit_learn(objective: Objective, weighted: bool) -> None:
    table, parameters = rows(objective, weighted=weighted), {"max_features": "sqrt", "min_samples_leaf": 2}
    model = grown(table, ForestGrower(table, parameters=parameters, seed=3))
    kind = RandomForestRegressor if isinstance(objective, Mean) else RandomForestClassifier
    forest = kind(**parameters, n_estimators=TREES, random_state=3)

    def widened(inputs: np.ndarray) -> np.ndarray:
        parts = [
            inputs[:, [place]] == np.arange(feature.levels) if feature.levels else inputs[:, [place]]
            for place, feature in enumerate(FEATURES)
        ]
        return np.concatenate(parts, axis=1)

    forest.fit(widened(table.inputs), table.targets, sample_weight=table.weights)
    asked = with_more_gaps(table.inputs)
    predict = forest.predict if isinstance(objective, Mean) else forest.predict_proba
    assert model.predict(asked) == pytest.approx(predict(widened(asked)), abs=1e-9)
    assert loads(model_file(model, name="forest")) == model
    assert from_arrays(to_arrays(model), features=FEATURES, objective=objective) == model


def test_rows_of_one_class_and_of_one_kind_grow_leaves() -> None:
    inputs, targets = np.ones((30, 2)), np.ones(30, dtype=np.int64)
    features = (Feature("a"), Feature("b"))
    boosted = TreeRows(inputs, targets, features, Softmax(3))
    scores = np.zeros((3, 30))
    for grower in (
        XgboostGrower(boosted, parameters={}, seed=0, threads=1),
        LightgbmGrower(boosted, parameters={}, seed=0, threads=1),
        ForestGrower(TreeRows(inputs, targets, features, Shares(3)), parameters={}, seed=0),
    ):
        trees = grower.grow(scores, number=0)
        assert [len(tree.feature) for tree in trees] == [1, 1, 1]
    assert [tree.value.item() for tree in trees] == [0.0, 1.0, 0.0]


@settings(max_examples=draws(200))
@given(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
def test_a_number_is_below_a_limit_where_it_is_in_32_bits(limit: float, number: float, near: bool) -> None:
    edge = float(up_to(np.array([limit], dtype=np.float32))[0])
    assert np.float32(edge) == np.float32(limit) or abs(limit) > 3.4e38
    for own in (np.nextafter(edge, -np.inf), edge, np.nextafter(edge, np.inf)) if near else (number,):
        with np.errstate(over="ignore"):
            assert (own <= edge) == (np.float32(own) <= np.float32(limit)) or abs(limit) > 3.4e38


def test_what_cannot_be_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"'pain' has numbers beyond 3\.4e38, which XGBoost cannot take"):
        in_32_bits(np.array([[1.0, 1e39]]), FEATURES[:2], library="XGBoost")
    with pytest.raises(DataError, match="there are no training rows"):
        TreeRows(np.zeros((0, 1)), np.zeros(0), FEATURES[:1], SquaredError())
    empty = TreeEnsemble(FEATURES, SquaredError(), np.zeros(1), ())
    with pytest.raises(ConfigError, match="no tree"):
        model_file(empty, name="xgboost")
    assert loads(dumps(empty)) == empty
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(ConfigError, match=r'model=xgboost .* xgboost-cpu: pip install "fedtwin\[trees\]"'):
        require_library("xgboost")
    require_library("linear")
