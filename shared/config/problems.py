"""Error messages for an invalid configuration, one line per setting, from pydantic's errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.runtime.errors import ConfigError, bullet_list

M = TypeVar("M", bound=BaseModel)


def problem_lines(error: ValidationError, *, variants: Collection[str]) -> list[str]:
    """Describe each error by the dotted name of its setting, what was expected and what it got.

    Parameters
    ----------
    variants : collection of str
        Sections that are one of several models. Pydantic inserts the name of the model after theirs, such as
        ``model.cnn.dropout``; here it is ``model.dropout``.
    """
    lines = []
    for item in error.errors():
        place = item["loc"]
        if len(place) > 1 and place[0] in variants:
            place = (place[0], *place[2:])
        if item["type"] == "value_error":  # of our own validators, whose text names the settings
            lines.append(item["msg"].removeprefix("Value error, "))
        else:
            lines.append(f"{'.'.join(map(str, place))}: {item['msg']}, got {item['input']!r}")
    return lines


def check_settings(kind: type[M], settings: Mapping[str, Any], *, section: str) -> M:
    """The settings of a component, checked by its own model; errors name them below their section.

    Raises
    ------
    ConfigError
    """
    adapter: TypeAdapter[dict[str, M]] = TypeAdapter(dict[str, kind])  # type: ignore[valid-type]
    try:
        return adapter.validate_python({section: settings})[section]
    except ValidationError as error:
        problems = bullet_list(problem_lines(error, variants=()))
        raise ConfigError(f"the configuration is not valid:\n{problems}") from None
