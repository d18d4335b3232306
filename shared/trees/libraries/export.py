"""`model_file`: a model of trees as a file of the library that has grown it."""

from __future__ import annotations

from shared.runtime.errors import ConfigError
from shared.trees.format import dumps
from shared.trees.libraries import lightgbm, xgboost
from shared.trees.model import TreeEnsemble


def model_file(model: TreeEnsemble, *, name: str) -> bytes:
    """XGBoost's JSON, LightGBM's text, or of any other trees our own JSON (`shared.trees.format`).

    Parameters
    ----------
    name : str
        ``model.name`` of the run.

    Raises
    ------
    ConfigError
        XGBoost has no model without a tree.
    """
    if name == "xgboost":
        if not model.rounds:
            raise ConfigError("the model has no tree, which XGBoost cannot read")
        return xgboost.to_json(model)
    return lightgbm.to_text(model) if name == "lightgbm" else dumps(model)
