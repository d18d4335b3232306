"""`quote_texts`: overrides whose value is a path or a name, so that Hydra reads them as they were typed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

# Settings whose value is any text; in Hydra's grammar brackets, commas and `=` mean something else.
_TEXTS = {
    "data.path",
    "data.url",
    "data.query",
    "data.table",
    "data.positive",
    "data.target",
    "data.decimal",
    "data.separator",
    "model.weights",
    "federation.kit",
    "resume",
    "tracking.home",
    "tracking.database_url",
    "description",
    "partition.column",
    "task.separator",
    "task.none",
}
_COLUMNS = "data.columns."
_OPEN = re.compile(r"(data\.(?:kinds|levels|missing_in))(?:\.(.+))?")  # settings by names of the user's own
_KEY = re.compile(r"[\w.-]+")  # names that Hydra takes as part of a key
_PLAIN = re.compile(r"(?!(?:true|false|inf|nan|null)$)(?:~?/|[A-Za-z])[A-Za-z0-9_./-]*", re.IGNORECASE)


def quote_texts(overrides: Iterable[str], *, sweep: bool = False) -> list[str]:
    """Quote the values of paths and names, and let settings by names of columns be added.

    Left as they are: values that Hydra reads as they stand; what is quoted for Hydra already; ``null``; what
    holds an interpolation ``${...}``. Of these, what exists as a file or folder is quoted all the same.

    Parameters
    ----------
    overrides : iterable of str
        As typed; what is no override, such as ``--cfg job``, stays.
    sweep : bool
        Of ``--multirun``, where commas are between values.
    """
    return [_quoted(_added(text), sweep=sweep) for text in overrides]


def value_of(overrides: Iterable[str], name: str) -> str | None:
    """The last value that is set, without the quotes of Hydra's grammar; None where it is not set."""
    found = None
    for text in overrides:
        key, equals, value = text.partition("=")
        if equals and key.lstrip("+") == name:
            found = _unquote(value) if _is_quoted(value) else value
    return found


def assign(name: str, value: str) -> str:
    """An override that sets a text, whatever is in it."""
    return _quoted(f"{name}={value}", sweep=False) if name in _TEXTS else f"{name}={value}"


def escaped(name: str) -> str:
    """A name as a key of a dictionary in Hydra's grammar, such as ``temperature \\[C\\]``."""
    return re.sub(r"([\\()\[\]{}:=,])", r"\\\1", name)


def _added(text: str) -> str:
    # Hydra adds no key that a file does not have, unless it is told to.
    key, equals, value = text.partition("=")
    found = _OPEN.fullmatch(key.lstrip("+"))
    if not equals or not found:
        return text
    setting, name = found.groups()
    if name and not _KEY.fullmatch(name):
        return f"++{setting}={{{escaped(name)}: {value}}}"
    return f"++{text.lstrip('+')}"


def _quoted(text: str, *, sweep: bool) -> str:
    key, equals, value = text.partition("=")
    name = key.lstrip("+")
    if not equals or not (name in _TEXTS or name.startswith(_COLUMNS)) or _PLAIN.fullmatch(value):
        return text
    meant = value in ("", "null") or _is_quoted(value) or "${" in value or (sweep and "," in value)
    if meant and not (value and os.path.lexists(_expanded(value))):
        return text
    # A backslash means something only before a quote, and a dollar before a brace.
    escaped = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + ('\\"' if found[2] else ""), value)
    return f'{key}="{escaped}"'.replace("${", "\\${")


def _expanded(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:  # ~nobody
        return Path(value)


def _is_quoted(value: str) -> bool:
    return re.fullmatch(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", value, re.DOTALL) is not None


def _unquote(value: str) -> str:
    return "".join(_parts(value[1:-1], quote=value[0])).replace("\\${", "${")


def _parts(text: str, *, quote: str) -> Iterator[str]:
    place = 0
    for found in re.finditer(rf"(\\+)({quote}|$)", text):
        yield text[place : found.start()] + found[1][: len(found[1]) // 2] + found[2]
        place = found.end()
    yield text[place:]
