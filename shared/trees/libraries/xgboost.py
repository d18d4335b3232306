"""`XgboostGrower`: trees of XGBoost (Chen and Guestrin 2016), in our form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.trees.bins import Ints
from shared.trees.fixed_point import Floats
from shared.trees.libraries.installed import require_library
from shared.trees.libraries.rows import FURTHEST, TreeRows, in_32_bits, up_to
from shared.trees.model import Tree

OBJECTIVES = {
    "logistic": "binary:logistic",
    "softmax": "multi:softprob",
    "squared_error": "reg:squarederror",
    "absolute_error": "reg:absoluteerror",
}


class XgboostGrower:
    """Grows trees on some rows, each round on top of the raw scores that it is given.

    Parameters
    ----------
    parameters : mapping
        XGBoost's own, by its names.
    seed : int
    threads : int

    Raises
    ------
    ConfigError
        XGBoost is not installed.
    DataError
        An input has a number that XGBoost cannot take.
    """

    def __init__(self, rows: TreeRows, *, parameters: Mapping[str, Any], seed: int, threads: int) -> None:
        require_library("xgboost")
        import xgboost

        self._library, self._rows, self._seed = xgboost, rows, seed
        outputs = rows.objective.outputs
        self._parameters = {
            **parameters,
            "objective": OBJECTIVES[rows.objective.name],
            "tree_method": "hist",
            "nthread": threads,
            "verbosity": 0,
            "disable_default_eval_metric": True,
            **({"num_class": outputs} if outputs > 1 else {}),
        }
        self._matrix = xgboost.DMatrix(
            in_32_bits(rows.inputs, rows.features, library="XGBoost"),
            label=rows.targets,
            weight=rows.weights,
            feature_types=["c" if feature.levels else "q" for feature in rows.features],
            enable_categorical=True,
            nthread=threads,
        )

    def grow(self, scores: Floats, *, number: int) -> tuple[Tree, ...]:
        """The trees of a round."""
        self._matrix.set_base_margin(np.ascontiguousarray(scores[0] if len(scores) == 1 else scores.T))
        # Its seed has 31 bits, and draws the same in each training.
        seed = int(np.random.default_rng([self._seed, number]).integers(2**31))
        booster = self._library.train({**self._parameters, "seed": seed}, self._matrix, num_boost_round=1)
        model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
        trees = sorted(zip(model["tree_info"], model["trees"], strict=True), key=lambda pair: pair[0])
        levels = [feature.levels for feature in self._rows.features]
        return tuple(_tree(content, levels) for _, content in trees)


def _tree(content: Mapping[str, Any], all_levels: list[int]) -> Tree:
    """A tree of XGBoost's JSON, as XGBoost itself has written it."""
    left = np.array(content["left_children"], dtype=np.int64)
    leaf = left < 0
    conditions = np.array(content["split_conditions"], dtype=np.float32)
    category = ~leaf & (np.array(content["split_type"]) == 1)
    places = np.array(content["split_indices"], dtype=np.int64)
    # Numbers below the condition go left.
    thresholds = np.clip(up_to(np.nextafter(conditions, np.float32(-np.inf))), -FURTHEST, FURTHEST)
    lefts: list[tuple[int, ...]] = [()] * len(left)
    for node, start, size in zip(
        content["categories_nodes"], content["categories_segments"], content["categories_sizes"], strict=True
    ):
        right = set(content["categories"][start : start + size])
        lefts[node] = tuple(level for level in range(all_levels[places[node]]) if level not in right)
    return Tree(
        feature=np.where(leaf, -1, places),
        threshold=np.where(leaf | category, 0.0, thresholds),
        levels=tuple(lefts),
        missing_left=~leaf & (np.array(content["default_left"]) != 0),
        left=left,
        right=np.array(content["right_children"], dtype=np.int64),
        value=np.where(leaf, conditions, np.float32(0)).astype(np.float64),
        gain=np.where(leaf, 0.0, np.maximum(np.array(content["loss_changes"], dtype=np.float64), 0.0)),
        rows=np.zeros(len(left), dtype=np.int64),
    )


def to_json(model: Any) -> bytes:
    """A model of boosted trees as XGBoost's JSON, which ``Booster.load_model`` reads.

    Sums of Hessians are not known, and are 0. Values are rounded to 32 bits.

    Parameters
    ----------
    model : TreeEnsemble
        With an objective of `OBJECTIVES`.
    """
    outputs = model.objective.outputs
    trees = [
        _content(tree, identity, model.features)
        for identity, tree in enumerate(tree for trees in model.rounds for tree in trees)
    ]
    objective: dict[str, Any] = {"name": OBJECTIVES[model.objective.name]}
    if outputs > 1:
        objective["softmax_multiclass_param"] = {"num_class": str(outputs)}
    else:
        objective["reg_loss_param"] = {"scale_pos_weight": "1"}
    start = model.start
    if model.objective.name == "logistic":
        start = 1 / (1 + np.exp(-start))  # it is told as a probability
    content = {
        "version": [3, 2, 0],
        "learner": {
            "attributes": {},
            "feature_names": [feature.name for feature in model.features],
            "feature_types": ["c" if feature.levels else "float" for feature in model.features],
            "gradient_booster": {
                "name": "gbtree",
                "model": {
                    "gbtree_model_param": {"num_trees": str(len(trees)), "num_parallel_tree": "1"},
                    "iteration_indptr": list(range(0, len(trees) + 1, outputs)),
                    "tree_info": [place % outputs for place in range(len(trees))],
                    "trees": trees,
                    "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
                },
            },
            "learner_model_param": {
                "base_score": "[" + ",".join(repr(float(np.float32(value))) for value in start) + "]",
                "boost_from_average": "0",
                "num_class": str(outputs if outputs > 1 else 0),
                "num_feature": str(len(model.features)),
                "num_target": "1",
            },
            "objective": objective,
        },
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def _content(tree: Tree, identity: int, features: Any) -> dict[str, Any]:
    leaf = tree.feature < 0
    levels = np.array([feature.levels for feature in features])[tree.feature]
    category = ~leaf & (levels > 0)
    parents: Ints = np.full(len(leaf), 2**31 - 1)
    for side in (tree.left, tree.right):
        parents[side[~leaf]] = np.flatnonzero(~leaf)
    limits = _rounded(tree.threshold)
    conditions = np.where(leaf, _rounded(tree.value), np.nextafter(limits, np.float32(np.inf)))
    rights = {
        int(node): sorted({*range(int(levels[node]))} - {*tree.levels[node]})
        for node in np.flatnonzero(category)
    }
    sizes = [len(right) for right in rights.values()]
    zeros = [0.0] * len(leaf)
    return {
        "base_weights": np.where(leaf, _rounded(tree.value), np.float32(0)).tolist(),
        "categories": [level for right in rights.values() for level in right],
        "categories_nodes": list(rights),
        "categories_segments": np.cumsum([0, *sizes])[:-1].tolist(),
        "categories_sizes": sizes,
        "default_left": tree.missing_left.astype(int).tolist(),
        "id": identity,
        "left_children": tree.left.tolist(),
        "loss_changes": np.minimum(tree.gain, 1e30).tolist(),
        "parents": parents.tolist(),
        "right_children": tree.right.tolist(),
        "split_conditions": np.where(category, np.float32(0), conditions).tolist(),
        "split_indices": np.where(leaf, 0, tree.feature).tolist(),
        "split_type": category.astype(int).tolist(),
        "sum_hessian": zeros,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(len(features)),
            "num_nodes": str(len(leaf)),
            "size_leaf_vector": "1",
        },
    }


def _rounded(values: Floats) -> NDArray[np.float32]:
    most = float(np.nextafter(np.finfo(np.float32).max, np.float32(0)))
    return np.clip(values, -most, most).astype(np.float32)
