"""`importance_of`: how much each setting matters: functional ANOVA (Hutter et al. 2014), by Optuna."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

FEWEST = 4  # trials


def importance_of(settings: Sequence[Mapping[str, str]], values: Sequence[float]) -> dict[str, float]:
    """The share of the variation among trials that each setting explains, largest first.

    Parameters
    ----------
    settings : sequence of mapping
        Of each trial, by name, as they are typed; all have the same names.
    values : sequence of float
        What each reached.

    Returns
    -------
    dict of str to float
        Adds up to 1. Empty where there is too little to tell it from, or Optuna is not installed.
    """
    kept = [(one, value) for one, value in zip(settings, values, strict=True) if math.isfinite(value)]
    names = list(settings[0]) if settings else []
    varied = [name for name in names if len({one.get(name) for one, _ in kept}) > 1]
    if len(kept) < FEWEST or not varied or len({value for _, value in kept}) < 2 or find_spec("optuna") is None:
        return {}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spaces = {name: _space([one[name] for one, _ in kept]) for name in varied}
    study = optuna.create_study(direction="maximize")
    for one, value in kept:
        params = {name: parse(one[name]) for name, (_, parse) in spaces.items()}
        axes = {name: axis for name, (axis, _) in spaces.items()}
        study.add_trial(optuna.create_trial(params=params, distributions=axes, value=value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def _space(texts: Sequence[str]) -> tuple[Any, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        return CategoricalDistribution(sorted(set(texts))), str
    low, high = min(numbers), max(numbers)
    return FloatDistribution(low, high, log=low > 0 and high > 20 * low), float
