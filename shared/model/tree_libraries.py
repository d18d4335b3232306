"""`grower_of`: what grows trees by another library, with the settings of a model."""

from __future__ import annotations

from typing import Any

from shared.config.model import ForestConfig, LightgbmConfig, XgboostConfig
from shared.trees.libraries.forest import ForestGrower
from shared.trees.libraries.lightgbm import LightgbmGrower
from shared.trees.libraries.rows import Grower, TreeRows
from shared.trees.libraries.xgboost import XgboostGrower

LibraryConfig = XgboostConfig | LightgbmConfig | ForestConfig


def grower_of(cfg: LibraryConfig, rows: TreeRows, *, seed: int, threads: int) -> Grower:
    """What grows trees on some rows.

    Parameters
    ----------
    seed : int
        Below 2**32.

    Raises
    ------
    ConfigError
        The library is not installed.
    DataError
        The rows have numbers that it cannot take.
    """
    if isinstance(cfg, XgboostConfig):
        return XgboostGrower(rows, parameters=_xgboost(cfg), seed=seed, threads=threads)
    if isinstance(cfg, LightgbmConfig):
        return LightgbmGrower(rows, parameters=_lightgbm(cfg), seed=seed, threads=threads)
    return ForestGrower(rows, parameters=_forest(cfg), seed=seed)


def _xgboost(cfg: XgboostConfig) -> dict[str, Any]:
    return {
        "eta": cfg.learning_rate,
        "grow_policy": "depthwise" if cfg.growth == "depthwise" else "lossguide",
        "max_depth": cfg.max_depth,
        "max_leaves": cfg.max_leaves or 0,
        "alpha": cfg.lambda_l1,
        "lambda": cfg.lambda_l2,
        "min_child_weight": cfg.min_child_weight,
        "gamma": cfg.min_gain,
        "max_bin": cfg.max_bins,
        "subsample": cfg.subsample,
        "colsample_bytree": cfg.colsample,
    }


def _lightgbm(cfg: LightgbmConfig) -> dict[str, Any]:
    return {
        "learning_rate": cfg.learning_rate,
        "num_leaves": cfg.max_leaves,
        "max_depth": cfg.max_depth or -1,
        "lambda_l1": cfg.lambda_l1,
        "lambda_l2": cfg.lambda_l2,
        "min_sum_hessian_in_leaf": cfg.min_child_weight,
        "min_data_in_leaf": cfg.min_samples_leaf,
        "min_gain_to_split": cfg.min_gain,
        "max_bin": cfg.max_bins,
        "cat_smooth": cfg.category_smoothing,
        "cat_l2": cfg.category_l2,
        "bagging_fraction": cfg.subsample,
        "bagging_freq": int(cfg.subsample < 1),
        "feature_fraction": cfg.colsample,
    }


def _forest(cfg: ForestConfig) -> dict[str, Any]:
    return {
        "max_depth": cfg.max_depth,
        "max_leaf_nodes": cfg.max_leaves,
        "min_samples_leaf": cfg.min_samples_leaf,
        "max_features": cfg.colsample,
        "bootstrap": cfg.bootstrap,
    }
