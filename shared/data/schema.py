"""`Schema`: what the rows of a data set hold, as the server and its clients must agree on before training."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

_SHOWN = 20  # names in a sentence
_MOST_KINDS, _LONGEST_KIND = 64, 16  # of image values, in what may come from anybody

Ends = tuple[float, float]  # of a range
Kind = Literal["numeric", "categorical", "boolean", "timestamp", "id"]


@dataclass(frozen=True)
class Column:
    """A typed column.

    Attributes
    ----------
    levels : tuple of str
        Of a categorical column, in the order of their numbers; of a timestamp, from one step to the next.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """What a row holds.

    Attributes
    ----------
    classes : tuple of str
        Names of the labels by number; empty where the target is no label.
    inputs, targets : tuple of Column
        Of a table or a time series; empty for images.
    horizon : int
        Steps ahead that a forecast covers; 0 where nothing is forecast.
    levels : tuple of pairs of str and tuple of float
        Of images whose files do not state the range of their values: which values were chosen to be black and
        white, by kind (`shared.data.pixels.levels.kind_of`).
    """

    classes: tuple[str, ...] = ()
    inputs: tuple[Column, ...] = ()
    targets: tuple[Column, ...] = ()
    horizon: int = 0
    levels: tuple[tuple[str, Ends], ...] = ()

    def to_json(self) -> str:
        """The schema as text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Read `to_json`, which may come from anybody.

        Raises
        ------
        ValueError
            It is no schema.
        """
        values = json.loads(text)
        if isinstance(values, dict):
            values = {"levels": [], **values}  # which older versions did not have
        if not isinstance(values, dict) or values.keys() != asdict(cls()).keys():
            raise ValueError(f"expected a schema, got {text[:100]!r}")
        horizon = values["horizon"]
        if type(horizon) is not int or not 0 <= horizon < 2**31:
            raise ValueError(f"expected a horizon of 0 or more steps, got {horizon!r}")
        return cls(
            classes=_texts(values["classes"]),
            inputs=tuple(map(_column, _list(values["inputs"]))),
            targets=tuple(map(_column, _list(values["targets"]))),
            horizon=horizon,
            levels=_levels(values["levels"]),
        )

    def differences(self, other: Schema) -> list[str]:
        """How another schema differs, one sentence each; empty where they agree."""
        found = []
        if other.classes != self.classes:
            found.append(
                f"its classes are {list(other.classes)}, the server's {list(self.classes)}; set data.classes, "
                f"so that all number the labels alike"
            )
        for what, own, its in (
            ("inputs", self.inputs, other.inputs),
            ("targets", self.targets, other.targets),
        ):
            found += _column_differences(own, its, what=what)
        if other.horizon != self.horizon:
            found.append(f"its horizon is {other.horizon} steps, the server's {self.horizon}")
        own_levels = dict(self.levels)
        for kind, (low, high) in other.levels:
            at_server = own_levels.get(kind)
            if at_server != (low, high):
                found.append(
                    f"its files do not state the range of their {kind} values, and it reads {low:g} to "
                    f"{high:g} as black to white, the server "
                    + (f"{at_server[0]:g} to {at_server[1]:g}" if at_server else "has none of this kind")
                    + "; set data.levels=[LOW,HIGH], so that all scale pixels alike"
                )
        return found


def _column_differences(own: tuple[Column, ...], its: tuple[Column, ...], *, what: str) -> list[str]:
    here, there = {column.name: column for column in own}, {column.name: column for column in its}
    found = []
    if lacking := [name for name in here if name not in there]:
        found.append(f"it lacks the {what} {_listed(lacking)}, which the server has")
    if more := [name for name in there if name not in here]:
        found.append(
            f"it has the {what} {_listed(more)}, which the server has not; set data.inputs or "
            f"data.drop, so that all read the same"
        )
    for name in [name for name in here if name in there]:
        one, other = here[name], there[name]
        if one.kind != other.kind:
            found.append(
                f"its {name!r} is {other.kind}, the server's {one.kind}; set data.kinds.{name}, so that all "
                f"read it alike"
            )
        elif one.kind == "timestamp" and one.levels != other.levels:
            found.append(
                f"its {name!r} goes on by {' '.join(other.levels)}, the server's by {' '.join(one.levels)}; "
                f"bring both to one step"
            )
        elif one.levels != other.levels:
            found.append(
                f"the levels of its {name!r} are {_listed(other.levels)}, the server's {_listed(one.levels)}; "
                f"set data.levels.{name} to all that there are at any site, so that all number them alike"
            )
    if not found and own != its:
        found.append(
            f"its {what} come in the order {_listed([*there])}, the server's are {_listed([*here])}; set "
            f"data.inputs to one order"
        )
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN])) or "none"
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _column(value: Any) -> Column:
    if not isinstance(value, Mapping) or value.keys() != {"name", "kind", "levels"}:
        raise ValueError(f"expected a column, got {str(value)[:100]!r}")
    if not isinstance(value["name"], str) or value["kind"] not in get_args(Kind):
        raise ValueError(f"expected a named column of a known kind, got {str(value)[:100]!r}")
    return Column(value["name"], value["kind"], _texts(value["levels"]))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {str(value)[:100]!r}")
    return value


def _levels(value: Any) -> tuple[tuple[str, Ends], ...]:
    found: dict[str, Ends] = {}
    for pair in _list(value)[:_MOST_KINDS]:
        kind, ends = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
        numbers = ends if isinstance(ends, list) else []
        finite = [type(end) in (int, float) and abs(end) <= sys.float_info.max for end in numbers]
        if not isinstance(kind, str) or finite != [True, True] or not numbers[0] < numbers[1]:
            raise ValueError(f"expected two levels of a kind, the lower first, got {str(ends)[:100]!r}")
        found[kind[:_LONGEST_KIND]] = (float(numbers[0]), float(numbers[1]))
    return tuple(found.items())


def _texts(value: Any) -> tuple[str, ...]:
    if not all(isinstance(item, str) for item in _list(value)):
        raise ValueError(f"expected a list of texts, got {str(value)[:100]!r}")
    return tuple(value)
