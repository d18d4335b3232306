"""`check_statement`: a query is one statement that selects rows, and would select the same ones again."""

from __future__ import annotations

import re

from shared.runtime.errors import DataError

# Texts, quoted names and comments, in which nothing is a word of SQL.
_QUOTED = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/", re.DOTALL
)
_SELECTS = re.compile(r"[\s(]*(select|with|values|table)\b", re.IGNORECASE)
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|replace|truncate|create|alter|drop|grant|revoke|call|exec|execute|attach)\b"
    r"(?!\s*\()",  # replace(...) of a text is a function
    re.IGNORECASE,
)
_RANDOM = re.compile(
    r"\b(random|rand|newid|uuid|gen_random_uuid|uuid_generate_v4|randomblob)\s*\(|\btablesample\b",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"\b(limit\s+\S|offset\s+\S|fetch\s+(?:first|next)\b|(?<=select\s)top\b)", re.IGNORECASE)
_ORDER = re.compile(r"\border\s+by\b", re.IGNORECASE)
GUARDED = ("sqlite", "postgresql")  # databases that refuse to write by themselves


def check_statement(query: str, *, dialect: str) -> str:
    """The query without a semicolon at its end.

    Parameters
    ----------
    dialect : str
        Of the database; where it does not enforce that a transaction only reads, words that write are refused.

    Raises
    ------
    DataError
        It is not one statement that selects, or which rows it selects is left to chance.
    """
    words = _QUOTED.sub(lambda found: " " if found[0].startswith(("--", "/*")) else " ? ", query)
    words = words.rstrip().removesuffix(";")
    if ";" in words:
        raise DataError("data.query holds several statements; expected one that selects rows")
    if not _SELECTS.match(words):
        first = (words.split() or ["nothing"])[0][:30]
        raise DataError(
            f"data.query must select rows (SELECT, WITH, VALUES), and it begins with {first!r}; nothing was run"
        )
    if dialect not in GUARDED and (found := _WRITES.search(words)):
        raise DataError(
            f"data.query holds the word {found[0]!r}, and a {dialect} database may be changed by it; nothing "
            "was run: put the name in quotes if it is one"
        )
    if found := _RANDOM.search(words):
        raise DataError(
            f"data.query holds {found[0]!r}, so that each time it gives other rows; leave the choice of rows "
            "to a column of the table, or let data.test_fraction and the partition draw"
        )
    if (found := _LIMIT.search(words)) and not _ORDER.search(words):
        raise DataError(
            f"data.query holds {found[0]!r} and no ORDER BY, so that the database is free to give other rows "
            "each time; order by a column that tells all rows apart"
        )
    return query.rstrip().removesuffix(";")
