"""`require_library`: whether the package is there that a model of trees is trained with."""

from __future__ import annotations

from importlib.util import find_spec

from shared.runtime.errors import ConfigError

_PACKAGES = {"xgboost": "xgboost-cpu", "lightgbm": "lightgbm"}  # module to package


def require_library(model: str) -> None:
    """Make sure that a model can be trained here; of other models, that is so.

    Raises
    ------
    ConfigError
        A package is missing.
    """
    if model in _PACKAGES and _absent(model):
        raise ConfigError(
            f'model={model} trains with the package {_PACKAGES[model]}: pip install "fedtwin[trees]"'
        )


def _absent(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ValueError:  # somebody has put None in its place
        return True
