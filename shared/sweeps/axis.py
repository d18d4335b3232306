"""One axis of a plan: the values of a setting, or an interval that they are drawn from."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.config.mistakes import parse_override
from shared.config.overrides import quote_texts
from shared.runtime.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    Axis = Override | list[str]  # a grammar's several values, or those of a list

SECTION = "sweep"  # how messages name the settings of a plan
_DIGITS = 4  # of a number that is drawn


@dataclass(frozen=True)
class Interval:
    """An interval that numbers are drawn from; of two integers, integers."""

    low: float
    high: float
    log: bool


def interval_of(key: str, values: Any) -> Interval | None:
    """The interval of an axis; None of one that names its values.

    Raises
    ------
    ConfigError
    """
    axis = _axis(key, values)
    return None if isinstance(axis, list) or not axis.is_interval_sweep() else _interval(key, axis)


def _interval(key: str, axis: Override) -> Interval:
    ends: Any = axis.value()
    low, high, log = ends.start, ends.end, "log" in ends.tags
    if not low < high or (log and low <= 0):
        above = " above 0" if log else ""
        raise ConfigError(
            f"{key}: expected interval(LOW,HIGH) with LOW below HIGH{above}, got {low} and {high}"
        )
    return Interval(low, high, log)


def values_of(key: str, values: Any) -> list[str]:
    """The values of an axis, as they are typed.

    Raises
    ------
    ConfigError
        It is an interval, or cannot be read.
    """
    return _values(key, _axis(key, values))


def size_of(key: str, values: Any) -> int:
    """How many values an axis has, which are not made; of an interval, both ends.

    Raises
    ------
    ConfigError
        It cannot be read.
    """
    axis = _axis(key, values)
    if isinstance(axis, list):
        return len(axis)
    if axis.is_interval_sweep():
        return 2
    if not axis.is_range_sweep():
        return len(_values(key, axis))
    ends: Any = axis.value()
    try:
        count: int = math.ceil((ends.stop - ends.start) / ends.step)
    except (OverflowError, ValueError, ZeroDivisionError):  # 1e308, nan, a step of 0
        raise ConfigError(f"{key}={axis.get_value_string()}: the range has no number of values") from None
    return max(0, count)


def drawn(key: str, values: Any, chance: random.Random) -> str:
    """One of the values of an axis, or a number of its interval, as it is typed.

    Raises
    ------
    ConfigError
    """
    axis = _axis(key, values)
    if isinstance(axis, list) or not axis.is_interval_sweep():
        return chance.choice(_values(key, axis))
    ends = _interval(key, axis)
    low, high = ends.low, ends.high
    if isinstance(low, int) and isinstance(high, int):
        return str(chance.randint(low, high))
    number = math.exp(chance.uniform(math.log(low), math.log(high))) if ends.log else chance.uniform(low, high)
    return number_text(number)


def number_text(number: float) -> str:
    """A number that is drawn or proposed, as it is typed."""
    return f"{number:.{_DIGITS}g}"


def value_text(value: Any) -> str:
    """A value in Hydra's grammar; a text is taken as it would be typed."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{value_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(value_text, value)) + "]"
    return json.dumps(value)


def _axis(key: str, values: Any) -> Axis:
    if isinstance(values, Sequence) and not isinstance(values, str) and values:
        return [value_text(one) for one in values]
    if not isinstance(values, str):
        raise ConfigError(f"{key}: expected a list of values, got {values!r}")
    return _parsed(key, values)


@lru_cache(maxsize=256)  # a draw reads it each time
def _parsed(key: str, values: str) -> Override:
    (quoted,) = quote_texts([f"{key}={values}"], sweep=True)
    override = parse_override(quoted)
    if not override.is_sweep_override():
        raise ConfigError(
            f"{key}={values}: expected several values, such as 1,2 or range(1,4), or interval(0.1,0.5) to draw "
            "from; what all trials have belongs to the settings"
        )
    return override


def _values(key: str, axis: Axis) -> list[str]:
    from hydra.core.override_parser.types import Glob

    if isinstance(axis, list):
        return axis
    if axis.is_interval_sweep():
        raise ConfigError(
            f"{key}={axis.get_value_string()}: an interval has no number of values; say how many combinations "
            f"are drawn ({SECTION}.draws, --draws 20)"
        )
    if isinstance(axis.value(), Glob):
        raise ConfigError(f"{key}: name the values; patterns such as glob(*) are not read")
    return list(map(str, axis.sweep_string_iterator()))
