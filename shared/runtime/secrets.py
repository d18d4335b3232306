"""`without_secrets`: texts and values without the passwords of URLs and of PostgreSQL's ``key=value`` strings.

It rather hides too much than too little: all that any of SQLAlchemy's and libpq's ways of writing an address
could mean by a password.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"
# In a database's URL that is all of the text, or of a setting (NAME=URL), the password may hold spaces, slashes
# and quotes, and ends at the last @; in a longer text, it ends at the last @ before a space or a quote.
_URL = re.compile(
    r"\s*([\w.+]+=)?['\"]?(postgres|mysql|mariadb|oracle|mssql)[\w+]*://[^\n]*@[^\n]*", re.IGNORECASE
)
_IN_URL = re.compile(r"(?<=://)([^:/@]*):.*@")
_IN_TEXT = re.compile(r"(?<=://)([^\s:/@'\"]*):[^\s'\"]*@")
# ?password=... of a URL, and password=... or password='...' of libpq's strings.
_NAMED = re.compile(
    r"\b((?:ssl)?password|passwd|pwd)(\s*=\s*)('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s&'\"]+)",
    re.IGNORECASE,
)


def without_secrets(value: Any) -> Any:
    """A copy in which passwords are replaced by ``***``.

    Parameters
    ----------
    value : Any
        A text, or lists and dictionaries that hold texts; anything else is returned as it is.
    """
    if isinstance(value, str):
        return _hide(value)
    if isinstance(value, dict):
        return {key: without_secrets(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(without_secrets(item) for item in value)
    return value


def _hide(text: str) -> str:
    where = _IN_URL if _URL.fullmatch(text) else _IN_TEXT
    return _NAMED.sub(rf"\1\2{HIDDEN}", where.sub(rf"\1:{HIDDEN}@", text))


def secrets_of(url: str) -> set[str]:
    """What must not be printed of a database's URL: its passwords, as written and as decoded.

    Parameters
    ----------
    url : str
        As given by the user; need not be valid.
    """
    found = {match.group(0).partition(":")[2][:-1] for match in _IN_URL.finditer(url)}
    for match in _NAMED.finditer(url):
        value = match.group(3)
        found.add(value[1:-1] if value[0] in "'\"" else value)
    return {text for secret in found for text in (secret, unquote(secret)) if text}
