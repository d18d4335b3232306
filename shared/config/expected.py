"""What a setting may be, in words, from the JSON schema of the configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from shared.runtime.secrets import without_secrets

Schema = Mapping[str, Any]

_LONGEST = 60  # characters of a given value that a message repeats


def resolve(schema: Schema, node: Any) -> Schema:
    """A node of a schema without its reference."""
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    found: Schema = node
    return found


def walk(schema: Schema, place: Sequence[str | int]) -> tuple[list[str], Schema]:
    """The setting that an error of pydantic is about.

    Parameters
    ----------
    place : sequence of str or int
        Pydantic's: the names of settings, of the variants between them, and places in lists.

    Returns
    -------
    list of str
        The setting's name and those of the sections above it.
    dict
        Its part of the schema.
    """
    keys: list[str] = []
    node: Schema = schema
    variant: str | int | None = None  # the part before, where it named one
    for part in place:
        node = resolve(schema, node)
        if node.get("type") == "array":  # what is wrong with an element is wrong with the whole value
            break
        sections = [one for one in map(partial(resolve, schema), _options(node)) if _is_section(one)]
        if not sections:
            continue  # the name of a type among those of one setting
        if len(sections) > 1 and variant is None:
            variant = part
            continue
        of_variant = [one for one in sections if _names(one) & {variant}]
        variant = None
        keys.append(str(part))
        found = [_property(one, str(part)) for one in of_variant or sections]
        node = next((one for one in found if one is not None), {})
    return keys, resolve(schema, node)


def names_below(schema: Schema, keys: Sequence[str]) -> list[str]:
    """Dotted names of all settings of a section, of whichever variant."""
    nodes: list[Schema] = [schema]
    for key in keys:
        nodes = [
            inner
            for node in nodes
            for option in _options(resolve(schema, node))
            for inner in [_property(resolve(schema, option), key)]
            if inner is not None
        ]
    prefix = "".join(f"{key}." for key in keys)
    return [
        f"{prefix}{name}"
        for node in nodes
        for option in _options(resolve(schema, node))
        for name in resolve(schema, option).get("properties", {})
    ]


def tags(context: Mapping[str, Any]) -> Schema:
    """What the setting may be by which pydantic tells variants apart.

    Parameters
    ----------
    context : mapping
        Of pydantic's error.
    """
    return {"enum": [tag.strip(" '") for tag in context["expected_tags"].split(",")]}


def describe_expected(schema: Schema, node: Schema) -> str:
    """What a setting may be: ``a whole number of at least 1, or null``."""
    options = [resolve(schema, one) for one in _options(resolve(schema, node))]
    words = list(dict.fromkeys(_words(schema, one) for one in options if one.get("type") != "null"))
    if len(words) < len(options) and any(one.get("type") == "null" for one in options):
        words.append("null")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def as_typed(value: Any) -> str:
    """A value as the command line has it: ``null``, ``true``, ``[1, 2]``."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def describe_given(value: Any) -> str:
    """A value as one would type it, with what it is where that is not plain."""
    if isinstance(value, Mapping):
        return f"settings ({_short(', '.join(map(str, value)))})"
    text = _short(json.dumps(without_secrets(value), ensure_ascii=False, default=str))
    if isinstance(value, list | tuple):
        return f"the list {text}"
    if isinstance(value, str):
        return f"the text {text}"
    return text


def example_of(schema: Schema, node: Schema) -> Any:
    """A value that a setting may have; None where that cannot be said."""
    for option in _options(resolve(schema, node)):
        one = resolve(schema, option)
        if "enum" in one:
            return one["enum"][0]
        if "const" in one:
            return one["const"]
        kind = one.get("type")
        if kind == "boolean":
            return True
        if kind == "integer":
            return one.get("minimum", 1)
        if kind == "number":
            low, high = (
                one.get("minimum", one.get("exclusiveMinimum", 0)),
                one.get("maximum", one.get("exclusiveMaximum")),
            )
            return low + 1 if high is None else (low + high) / 2
        if kind == "array":
            inner = example_of(schema, (one.get("prefixItems") or [one.get("items", {})])[0])
            return None if inner is None else [inner] * one.get("minItems", 1)
    return None


def _options(node: Schema) -> Sequence[Any]:
    found: Sequence[Any] = node.get("anyOf") or node.get("oneOf") or [node]
    return found


def _is_section(node: Schema) -> bool:
    return "properties" in node or node.get("type") == "object"


def _names(section: Schema) -> set[Any]:
    """What pydantic may call a variant by: the value that tells it apart, or its class."""
    told = [one["const"] for one in section.get("properties", {}).values() if "const" in one]
    return {section.get("title"), *told}


def _property(node: Schema, key: str) -> Any:
    more = node.get("additionalProperties")
    return node.get("properties", {}).get(key, more if isinstance(more, dict) else None)


def _words(schema: Schema, node: Schema) -> str:
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return "one of " + ", ".join(map(str, node["enum"]))
    kind = node.get("type")
    if kind == "integer":
        return "a whole number" + _bounds(node)
    if kind == "number":
        return "a number" + _bounds(node)
    if kind == "boolean":
        return "true or false"
    if kind == "string":
        return "text"
    if kind == "array":
        items = node.get("items") or {}
        inner = (node.get("prefixItems") or [items])[0]
        each = describe_expected(schema, inner) if inner else "values"
        few, most = node.get("minItems"), node.get("maxItems")
        count = f"{few} values" if few is not None and few == most else "values"
        return f"a list of {count}, each {each}" if inner else "a list"
    if _is_section(node):
        names = [name for name in node.get("properties", {}) if not name.startswith("_")]
        return f"settings of its own ({_short(', '.join(names))})" if names else "settings of its own"
    return "another value"


def _bounds(node: Schema) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {_plain(low)} to {_plain(high)}"
    words = [
        f"{text} {_plain(value)}"
        for text, value in (("of at least", low), ("above", above), ("of at most", high), ("below", below))
        if value is not None
    ]
    return " " + " and ".join(words) if words else ""


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
