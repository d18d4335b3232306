"""Error messages for an invalid configuration, one line per setting, from pydantic's errors."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import ValidationError


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
