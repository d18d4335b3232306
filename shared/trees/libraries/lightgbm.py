"""`LightgbmGrower`: trees of LightGBM (Ke et al. 2017), in our form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.trees.fixed_point import Floats
from shared.trees.libraries.installed import require_library
from shared.trees.libraries.nodes import NodeLists
from shared.trees.libraries.rows import TreeRows
from shared.trees.model import Tree

OBJECTIVES = {
    "logistic": "binary",
    "softmax": "multiclass",
    "squared_error": "regression",
    "absolute_error": "regression_l1",
}
_CATEGORY, _DEFAULT_LEFT, _NAN = 1, 2, 2 << 2  # bits of a decision
_WORD = 32  # bits


class LightgbmGrower:
    """Grows trees on some rows, each round on top of the raw scores that it is given.

    Parameters
    ----------
    parameters : mapping
        LightGBM's own, by its names.
    seed : int
    threads : int

    Raises
    ------
    ConfigError
        LightGBM is not installed.
    """

    def __init__(self, rows: TreeRows, *, parameters: Mapping[str, Any], seed: int, threads: int) -> None:
        require_library("lightgbm")
        import lightgbm

        self._library, self._rows, self._seed = lightgbm, rows, seed
        outputs = rows.objective.outputs
        self._parameters = {
            **parameters,
            "objective": OBJECTIVES[rows.objective.name],
            "metric": "none",
            "boost_from_average": False,
            "num_threads": threads,
            "deterministic": True,
            "force_row_wise": True,
            "feature_pre_filter": False,
            "verbosity": -1,
            **({"num_class": outputs} if outputs > 1 else {}),
        }
        self._set = lightgbm.Dataset(
            np.ascontiguousarray(rows.inputs, dtype=np.float64),
            label=rows.targets,
            weight=rows.weights,
            categorical_feature=rows.categorical,
            feature_name=[f"input_{place}" for place in range(len(rows.features))],
            params=dict(self._parameters),
            free_raw_data=True,
        )

    def grow(self, scores: Floats, *, number: int) -> tuple[Tree, ...]:
        """The trees of a round; where no division gains anything, one leaf of 0."""
        self._set.set_init_score(scores.reshape(-1) if len(scores) == 1 else np.ascontiguousarray(scores.T))
        draws = np.random.default_rng([self._seed, number]).integers(2**31 - 1, size=3).tolist()
        seeds = dict(zip(("feature_fraction_seed", "bagging_seed", "extra_seed"), draws, strict=True))
        booster = self._library.train({**self._parameters, **seeds}, self._set, num_boost_round=1)
        levels = [feature.levels for feature in self._rows.features]
        told = booster.dump_model()["tree_info"]
        trees = [_tree(content["tree_structure"], levels) for content in told]
        return tuple(trees or [NodeLists.one_leaf(0.0) for _ in range(self._rows.objective.outputs)])


def _tree(root: Mapping[str, Any], all_levels: list[int]) -> Tree:
    nodes = NodeLists()
    waiting = [(root, nodes.add())]
    for content, node in waiting:  # it grows: children come after their parents
        if "leaf_value" in content:
            nodes.value[node] = float(content["leaf_value"])
            continue
        place = int(content["split_feature"])
        nodes.feature[node], nodes.gain[node] = place, max(float(content["split_gain"]), 0.0)
        if content["decision_type"] == "==":
            # Missing values are in no set.
            nodes.levels[node] = tuple(
                level for level in map(int, content["threshold"].split("||")) if level < all_levels[place]
            )
        else:
            threshold = nodes.threshold[node] = float(content["threshold"])
            # Without gaps in training, they count as 0.
            gaps = content["missing_type"] == "NaN"
            nodes.missing_left[node] = bool(content["default_left"]) if gaps else threshold >= 0
        nodes.left[node], nodes.right[node] = nodes.add(), nodes.add()
        waiting += [
            (content["left_child"], nodes.left[node]),
            (content["right_child"], nodes.right[node]),
        ]
    return nodes.tree()


def to_text(model: Any) -> bytes:
    """A model of boosted trees as LightGBM's text, which ``Booster(model_str=...)`` reads.

    Weights and counts of nodes are not known, and are 0. Inputs are named as LightGBM allows: other
    characters are ``_``.

    Parameters
    ----------
    model : TreeEnsemble
        With an objective of `OBJECTIVES`.
    """
    outputs, objective = model.objective.outputs, OBJECTIVES[model.objective.name]
    more = {"binary": " sigmoid:1", "multiclass": f" num_class:{outputs}"}.get(objective, "")
    names = ["".join(c if c.isalnum() else "_" for c in feature.name) for feature in model.features]
    unique = [name if names.count(name) == 1 else f"{name}_{place}" for place, name in enumerate(names)]
    infos = [
        ":".join(map(str, range(feature.levels))) if feature.levels else "[-1e+300:1e+300]"
        for feature in model.features
    ]
    trees = [tree for trees in model.rounds for tree in trees]
    starts = [float(value) for value in model.start]
    first = [_with(tree, starts[place]) for place, tree in enumerate(trees[:outputs])]
    first = first or [NodeLists.one_leaf(value) for value in starts]
    head = {
        "version": "v4",
        "num_class": outputs,
        "num_tree_per_iteration": outputs,
        "label_index": 0,
        "max_feature_idx": len(model.features) - 1,
        "objective": objective + more,
        "feature_names": " ".join(unique),
        "feature_infos": " ".join(infos),
    }
    blocks = [
        f"Tree={place}\n{_block(tree, model.features)}\n\n"
        for place, tree in enumerate([*first, *trees[outputs:]])
    ]
    sizes = " ".join(str(len(block)) for block in blocks)
    lines = "\n".join(["tree", *(f"{key}={value}" for key, value in head.items()), f"tree_sizes={sizes}"])
    return f"{lines}\n\n{''.join(blocks)}end of trees\n\nparameters:\nend of parameters\n".encode()


def _with(tree: Tree, start: float) -> Tree:
    """A tree whose leaves add the start too: LightGBM keeps it there."""
    return tree.revalued(np.where(tree.feature < 0, tree.value + start, 0.0))


def _block(tree: Tree, features: Any) -> str:
    leaf = tree.feature < 0
    inner = np.flatnonzero(~leaf)
    numbers = np.full(len(leaf), 0)
    numbers[inner] = np.arange(len(inner))
    numbers[leaf] = -1 - np.arange(int(leaf.sum()))  # LightGBM tells leaves from nodes by their sign
    decisions, thresholds, boundaries, words = [], [], [0], list[int]()
    for node in inner.tolist():
        if features[tree.feature[node]].levels:
            decisions.append(_CATEGORY)
            thresholds.append(str(len(boundaries) - 1))
            count = max(tree.levels[node], default=0) // _WORD + 1
            words += [
                sum(1 << (level % _WORD) for level in tree.levels[node] if level // _WORD == word)
                for word in range(count)
            ]
            boundaries.append(len(words))
        else:
            decisions.append(_NAN | (_DEFAULT_LEFT if tree.missing_left[node] else 0))
            thresholds.append(repr(float(tree.threshold[node])))
    inner_numbers = [
        ("split_feature", tree.feature[inner].tolist()),
        ("split_gain", tree.gain[inner].tolist()),
        ("threshold", thresholds),
        ("decision_type", decisions),
        ("left_child", numbers[tree.left[inner]].tolist()),
        ("right_child", numbers[tree.right[inner]].tolist()),
    ]
    values = tree.value[leaf].tolist()
    zeros, none = [0] * len(values), [0] * len(inner)
    categories = [("cat_boundaries", boundaries), ("cat_threshold", words)] if len(boundaries) > 1 else []
    lists: list[tuple[str, list[Any]]] = [
        *inner_numbers,
        ("leaf_value", values),
        ("leaf_weight", zeros),
        ("leaf_count", zeros),
        ("internal_value", none),
        ("internal_weight", none),
        ("internal_count", none),
        *categories,
    ]
    told = "\n".join(f"{name}={' '.join(str(value) for value in own)}" for name, own in lists)
    return f"num_leaves={len(values)}\nnum_cat={len(boundaries) - 1}\n{told}\nis_linear=0\nshrinkage=1\n"
