"""Error messages for an invalid configuration, one line per setting, from pydantic's errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.config.expected import (
    describe_expected,
    describe_given,
    example_of,
    names_below,
    resolve,
    tags,
    walk,
)
from shared.config.settings import choices_with, example
from shared.runtime.errors import ConfigError, bullet_list

M = TypeVar("M", bound=BaseModel)
_NOTHING = object()


def problem_lines(error: ValidationError, *, schema: Mapping[str, Any], values: Any) -> list[str]:
    """Describe each wrong setting: its dotted name, what was expected, what it got, and an example.

    Parameters
    ----------
    schema : mapping
        JSON schema of what was validated.
    values : object
        What was validated.
    """
    lines: dict[str, str] = {}  # by setting: pydantic has an error for each type that would have been allowed
    for item in error.errors():
        if item["type"] == "value_error":  # of our own validators, whose text names the settings
            text = item["msg"].removeprefix("Value error, ")
            lines[text] = text
            continue
        keys, node = walk(schema, item["loc"])
        if item["type"] == "union_tag_invalid":
            keys, node = [*keys, item["ctx"]["discriminator"].strip("'")], tags(item["ctx"])
        key = ".".join(keys)
        given = _at(values, keys)
        if item["type"] == "extra_forbidden":
            lines[key] = unknown_setting(key, known=names_below(schema, keys[:-1]))
        elif item["type"].startswith("unknown_"):  # of our own discriminators
            lines[key] = f"{key}: {item['msg']}"
        else:
            got = "has no value" if given is _NOTHING else f"got {describe_given(given)}"
            hint = _near(given, schema, node) or _such_as(key, schema, node)
            lines[key] = f"{key}: expected {describe_expected(schema, node)}, {got}{hint}"
    return list(lines.values())


def unknown_setting(key: str, *, known: Sequence[str]) -> str:
    """Say that there is no such setting, and which one may have been meant.

    Parameters
    ----------
    known : sequence of str
        The dotted names that there are.
    """
    elsewhere = choices_with(key)
    if elsewhere and key not in known:
        return f"{key}: only with {' or '.join(elsewhere)}"
    return f"{key}: there is no such setting{did_you_mean(key, known)}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question with the nearest of what there is, or nothing if nothing is near.

    Dotted names are near within their section, then as a whole, then by their last part in any section.
    """
    names = list(known)
    if word in names:  # it is the value of a setting that is wrong for another reason
        return ""
    above, _, last = word.rpartition(".")
    siblings = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == above}
    near = [siblings[name] for name in _nearest(last, list(siblings), cutoff=0.6)]
    if not near and above:
        near = _nearest(word, names, cutoff=0.8)
    if not near:
        lasts = _nearest(last, list({name.rpartition(".")[2] for name in names}), cutoff=0.8)
        near = [name for name in names if name.rpartition(".")[2] in lasts]
    return f"; did you mean {' or '.join(near[:3])}?" if near else ""


def _nearest(word: str, known: Sequence[str], *, cutoff: float) -> list[str]:
    def likeness(name: str) -> float:
        return SequenceMatcher(a=name.lower(), b=word.lower()).ratio()

    best = max(map(likeness, known), default=0.0)
    return sorted(name for name in known if likeness(name) == best) if best >= cutoff else []


def check_settings(kind: type[M], settings: Mapping[str, Any], *, section: str) -> M:
    """The settings of a component, checked by its own model; errors name them below their section.

    Raises
    ------
    ConfigError
    """
    adapter: TypeAdapter[dict[str, M]] = TypeAdapter(dict[str, kind])  # type: ignore[valid-type]
    values = {section: settings}
    try:
        return adapter.validate_python(values)[section]
    except ValidationError as error:
        problems = problem_lines(error, schema=adapter.json_schema(), values=values)
        raise ConfigError(f"the configuration is not valid:\n{bullet_list(problems)}") from None


def _such_as(key: str, schema: Mapping[str, Any], node: Any) -> str:
    value = example(key)
    if value is None:
        value = example_of(schema, node)
    if value is None or "properties" in resolve(schema, node):
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"; for example {key}={text.replace(', ', ',')}"


def _near(given: Any, schema: Mapping[str, Any], node: Any) -> str:
    return (
        did_you_mean(given, [str(value) for value in resolve(schema, node).get("enum", ())])
        if isinstance(given, str)
        else ""
    )


def _at(values: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if not isinstance(values, Mapping) or key not in values:
            return _NOTHING
        values = values[key]
    return values
