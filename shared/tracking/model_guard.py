"""`check_not_guarded`: runs that a named version of a model stands on are neither deleted nor trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import TrackingError
from shared.tracking.model_tables import model, model_alias, model_event, model_version


class GuardedRun(TrackingError):
    """A version of a model that an alias names, or that a rollback would return to, stands on the run."""


def guards(connection: sa.Connection, run_ids: Sequence[int]) -> dict[int, str]:
    """What guards runs.

    Returns
    -------
    dict of int to str
        By the run's id, such as ``version 1.0.0 of ward-7 (production)``; runs without a guard are left out.
    """
    query = (
        sa.select(
            *(model_version.c[name] for name in ("id", "run_id", "model_id", "major", "minor", "patch")),
            model.c.name,
        )
        .join(model, model.c.id == model_version.c.model_id)
        .where(model_version.c.run_id.in_(run_ids))
    )
    found: dict[int, str] = {}
    for row in connection.execute(query).all():
        why = _roles(connection, row)
        if why:
            number = f"{row.major}.{row.minor}.{row.patch}"
            found[row.run_id] = f"version {number} of model {row.name} ({', '.join(why)})"
    return found


def check_not_guarded(connection: sa.Connection, run_ids: Sequence[int], *, advice: str) -> None:
    """Make sure that no guarded version stands on runs.

    Parameters
    ----------
    advice : str
        What to do where one does.

    Raises
    ------
    GuardedRun
    """
    for run_id, what in guards(connection, run_ids).items():
        raise GuardedRun(f"{what} stands on run {run_id}; {advice}")


def alias_stack(events: Iterable[Any], alias: str) -> list[tuple[int, str]]:
    """The versions that an alias named, oldest first; the last one is the present one.

    Parameters
    ----------
    events : iterable of Row
        Of the model, in order, with ``kind``, ``alias``, ``version`` and ``version_id``.

    Returns
    -------
    list of (id, version)
        Without versions that were deleted, and those that were rolled back.
    """
    stack: list[tuple[int | None, str]] = []
    for event in events:
        if event.alias != alias:
            continue
        if event.kind == "promoted":
            stack.append((event.version_id, event.version))
        elif event.kind == "removed":
            stack.clear()
        elif event.kind == "rolled_back":
            while stack and stack[-1][1] != event.version:
                stack.pop()
    return [(version_id, version) for version_id, version in stack if version_id is not None]


def events_of(connection: sa.Connection, model_id: int) -> Sequence[Any]:
    """What happened to the aliases of a model, in order."""
    query = sa.select(model_event).where(model_event.c.model_id == model_id).order_by(model_event.c.id)
    return connection.execute(query).all()


def _roles(connection: sa.Connection, row: Any) -> list[str]:
    aliases = connection.execute(
        sa.select(model_alias.c.alias, model_alias.c.version_id)
        .where(model_alias.c.model_id == row.model_id)
        .order_by(model_alias.c.alias)
    ).all()
    if not aliases:
        return []
    events = events_of(connection, row.model_id)
    roles = []
    for alias, version_id in aliases:
        before = alias_stack(events, alias)[-2:-1]
        if version_id == row.id:
            roles.append(alias)
        elif before and before[0][0] == row.id:
            roles.append(f"what {alias} would be rolled back to")
    return roles
