"""The query behind a search for runs: by mode and status, and by words in what describes them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from shared.tracking.rows import MODE_NAMES
from shared.tracking.schema import LARGEST_ID, run

_MODE = sa.case(MODE_NAMES, value=run.c.training_mode, else_=run.c.training_mode)


def search_query(
    *, text: str, before: int | None, limit: int | None, is_sqlite: bool, **equal: Any
) -> sa.Select[Any]:
    """See `Runs.search`.

    Parameters
    ----------
    **equal
        Wanted values by column; None wants nothing.
    """
    query = sa.select(run).order_by(run.c.id.desc()).limit(limit)
    query = query.where(*(run.c[name] == value for name, value in equal.items() if value is not None))
    if before is not None:
        query = query.where(run.c.id < min(before, LARGEST_ID))
    words = text.replace("\0", " ").split()
    return query.where(*(_mentions(word, is_sqlite=is_sqlite) for word in words))


def _mentions(word: str, *, is_sqlite: bool) -> sa.ColumnElement[bool]:
    names: list[sa.ColumnElement[str]] = []
    # What the list shows of a run is what a search finds.
    for section in ("data", "model", "strategy"):
        name = run.c.config[section]["name"].as_string()
        if section == "strategy":
            name = sa.case((run.c.training_mode == "federated", name))
        # PostgreSQL reads nothing out of JSON that holds NUL or half a surrogate anywhere, such as in a path.
        readable = ~sa.cast(run.c.config, sa.Text).regexp_match(r"\\u(0000|d[89a-f])")
        names.append(name if is_sqlite else sa.case((readable, name)))
    texts = (
        run.c.name,
        run.c.description,
        run.c.status,
        _MODE,
        run.c.error,
        sa.cast(run.c.tags, sa.Text),
        *names,
    )
    found = [column.icontains(word, autoescape=True) for column in texts]
    if word.isascii() and word.isdigit() and int(word) <= LARGEST_ID:
        found += [run.c.id == int(word), run.c.seed == int(word)]
    return sa.or_(*found)
