"""`written_overrides`: settings that came as JSON, as overrides of Hydra: plain values and nothing else.

Hydra's grammar can do more than set values: interpolations read the environment, ``_target_`` names code, group
paths name files. None of it can be written here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

MOST_OVERRIDES = 200
_LONGEST_TEXT, _DEEPEST = 1000, 4
_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_PLAIN = re.compile(_NAME)
_KEY = re.compile(rf"{_NAME}(\.{_NAME})*")
_WORD = re.compile(r"(?!(true|false|null|inf|nan)$)[a-z][a-z0-9_-]*", re.IGNORECASE)  # needs no quotes
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

BY_COLUMN = ("kinds", "levels", "missing_in")  # settings of ``data`` whose names are columns
# Settings that say where something is, or what else a process does: the server decides on these.
SERVERS_OWN: Mapping[str, str] = {
    "tracking": "the server has its own home and database",
    "hydra": "the server runs no Hydra app",
    "resume": "a job resumes its own run; POST /api/jobs/ID/retry does so after a failure",
    "name": "set run_name",
    "data.path": "set dataset",
    "model.weights": "a job cannot read weights files",
    "federation.engine": "jobs train with processes of the worker's machine",
    "federation.ray_address": "jobs train with processes of the worker's machine",
    "federation.kit": "a federation of real sites is started by its server's operator",
}


def written_overrides(settings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Write settings in Hydra's grammar.

    Parameters
    ----------
    settings : mapping
        Values by dotted name, such as ``{"trainer.max_epochs": 15, "model": "resnet18"}``.

    Returns
    -------
    overrides, problems : list of str
        What can be written, and what is wrong with the others.
    """
    overrides, problems = [], []
    for key, value in settings.items():
        found = [*_of_key(key), *value_problems(key, value)]
        problems += found
        if not found:
            overrides.append(f"{key}={written_value(value)}")
    return overrides, problems


def settings_by_column(
    settings: Mapping[str, Any],
) -> tuple[dict[str, dict[str, Any]], list[str], dict[str, Any]]:
    """Take out settings by names of columns that Hydra's grammar cannot write, such as ``Größe (cm)``.

    Parameters
    ----------
    settings : mapping
        With ``{"data.kinds": {"Größe (cm)": "numeric"}}`` or ``{"data.kinds.Größe (cm)": "numeric"}``.

    Returns
    -------
    by_column : dict
        Values by column, by the name of the setting in ``data``.
    problems : list of str
    rest : dict
        The other settings, for `written_overrides`.
    """
    by_column: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    rest: dict[str, Any] = {}
    for key, value in settings.items():
        name, found = _columns_of(key, value)
        if name is None:
            rest[key] = value
            continue
        for column, item in found.items():
            shown = f"data.{name}.{column[:100]}"
            problems += [*_of_column(name, column), *value_problems(shown, item)]
        by_column[name] = {**by_column.get(name, {}), **found}
    return by_column, problems, rest


def _columns_of(key: str, value: Any) -> tuple[str | None, dict[str, Any]]:
    for name in BY_COLUMN:
        if key == f"data.{name}" and isinstance(value, dict) and not all(map(_PLAIN.fullmatch, value)):
            return name, value
        column = key.removeprefix(f"data.{name}.")
        if column != key and not _KEY.fullmatch(column):
            return name, {column: value}
    return None, {}


def _of_column(name: str, column: str) -> Iterator[str]:
    if not column.strip() or len(column) > 200 or not column.isprintable():
        yield f"data.{name}: {column[:200]!r} is no name of a column: 1 to 200 printable characters"
    elif "${" in column or "://" in column:
        yield f"data.{name}: {column!r}: interpolations (${{...}}) and addresses (://) cannot be set here"


def _of_key(key: str) -> Iterator[str]:
    if len(key) > 200 or not _KEY.fullmatch(key):
        yield (
            f"{key[:200]!r}: a setting is named by words with dots between, such as trainer.max_epochs; names "
            "that begin with _ are the server's"
        )
        return
    for own, why in SERVERS_OWN.items():
        if key == own or key.startswith(f"{own}."):
            yield f"{key}: cannot be set here: {why}"


def value_problems(key: str, value: Any, depth: int = 0) -> Iterator[str]:
    """What is wrong with a value that is to be set."""
    if isinstance(value, str):
        if len(value) > _LONGEST_TEXT or _CONTROL.search(value):
            yield f"{key}: a text has at most {_LONGEST_TEXT} characters, on one line"
        elif "${" in value:
            yield f"{key}: interpolations (${{...}}) cannot be set here"
        elif "://" in value:
            yield f"{key}: addresses (://) cannot be set here"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{key}: expected a finite number, got {value}"
    elif isinstance(value, int) and abs(value) >= 2**63:
        yield f"{key}: the number is too large"
    elif isinstance(value, list | dict):
        if depth == _DEEPEST or len(value) > 1000:
            yield f"{key}: is nested too deeply, or too long"
            return
        if isinstance(value, dict):
            for name in value:
                if not re.fullmatch(_NAME, name):
                    yield f"{key}: {name[:200]!r} is no name of a setting"
        for item in value.values() if isinstance(value, dict) else value:
            yield from value_problems(key, item, depth + 1)


def written_value(value: Any) -> str:
    """A plain value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{','.join(map(written_value, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{written_value(item)}" for name, item in value.items()) + "}"
    if _WORD.fullmatch(value):
        return str(value)
    # A backslash means something only before a quote.
    return '"' + re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + ('\\"' if found[2] else ""), value) + '"'
