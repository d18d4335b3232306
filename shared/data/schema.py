"""`Schema`: what the rows of a data set hold, as the server and its clients must agree on before training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Kind = Literal["numeric", "categorical", "boolean", "timestamp", "id"]


@dataclass(frozen=True)
class Column:
    """A typed column.

    Attributes
    ----------
    levels : tuple of str
        Of a categorical column, in the order of their numbers.
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
    """

    classes: tuple[str, ...] = ()
    inputs: tuple[Column, ...] = ()
    targets: tuple[Column, ...] = ()
    horizon: int = 0

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
            if its != own:
                found.append(f"its {what} are {_shown(its)}, the server's {_shown(own)}")
        if other.horizon != self.horizon:
            found.append(f"its horizon is {other.horizon} steps, the server's {self.horizon}")
        return found


def _shown(columns: tuple[Column, ...]) -> str:
    return ", ".join(f"{column.name} ({column.kind})" for column in columns) or "none"


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


def _texts(value: Any) -> tuple[str, ...]:
    if not all(isinstance(item, str) for item in _list(value)):
        raise ValueError(f"expected a list of texts, got {str(value)[:100]!r}")
    return tuple(value)
