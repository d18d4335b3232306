"""`with_settings`: a stored snapshot in which some settings are changed by ``name=value``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import yaml

from shared.config.problems import unknown_setting
from shared.runtime.errors import ConfigError


def with_settings(snapshot: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A copy with changes such as ``federation.num_rounds=20``; groups cannot be changed.

    Raises
    ------
    ConfigError
        A change is not of that form, or names no setting.
    """
    changed = deepcopy(dict(snapshot))
    for text in changes:
        name, found, value = text.partition("=")
        *outer, last = name.split(".")
        section: Any = changed
        for part in outer:
            section = section.get(part) if isinstance(section, dict) else None
        if found and (not isinstance(section, dict) or last not in section):
            raise ConfigError(unknown_setting(name, known=list(_names(changed))))
        if not found:
            raise ConfigError(
                f"{text}: expected a setting of the run and its new value, such as federation.num_rounds=20"
            )
        if isinstance(section[last], dict):
            raise ConfigError(f"{text}: {name} is a group of settings; name one of {', '.join(section[last])}")
        try:
            section[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"{text}: the value cannot be read: {error}") from None
    return changed


def _names(section: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
