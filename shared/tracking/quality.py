"""Quality thresholds: what test metrics a version must reach, such as ``f1>=0.7``; parsed and checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.runtime.errors import ConfigError

NO_THRESHOLD = "none"
DEFAULT = "f1>=0.7"  # of models whose task measures it
_CONDITION = re.compile(r"\s*([A-Za-z][\w]*)\s*(>=|<=)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*")
_LONGEST = 500


class Condition(NamedTuple):
    """One metric on the test rows, and its bound."""

    metric: str
    at_least: bool
    bound: float

    def __str__(self) -> str:
        return f"{self.metric}{'>=' if self.at_least else '<='}{self.bound:g}"


def parse_threshold(text: str) -> tuple[Condition, ...]:
    """Read conditions, joined by commas.

    Returns
    -------
    tuple of Condition
        None of ``none``, and of an empty text.

    Raises
    ------
    ConfigError
        It is none.
    """
    if text.strip() in ("", NO_THRESHOLD):
        return ()
    found = []
    for part in text[:_LONGEST].split(","):
        match = _CONDITION.fullmatch(part)
        bound = _number(match[3]) if match else math.nan
        if match is None or not math.isfinite(bound):
            raise ConfigError(
                f"expected a threshold such as f1>=0.7, rmse<=3.5, several joined by commas, or "
                f"{NO_THRESHOLD}, got {text!r}"
            )
        found.append(Condition(match[1], match[2] == ">=", bound))
    return tuple(found)


def misses(text: str, test: Mapping[str, Any]) -> list[str]:
    """What test metrics miss of a threshold, one sentence each; empty where they reach it."""
    found = []
    for condition in parse_threshold(text):
        value = test.get(condition.metric)
        if not isinstance(value, int | float) or not math.isfinite(value):
            measured = ", ".join(sorted(test)) or "nothing"
            found.append(f"{condition}: {condition.metric} was not measured on its test rows ({measured} was)")
        elif not (value >= condition.bound if condition.at_least else value <= condition.bound):
            found.append(f"{condition}: {condition.metric} is {value:.4g}")
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
