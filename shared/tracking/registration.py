"""`register_run`: a completed run becomes a version of a model, in the transaction that completes it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.tracking.model_tables import model, model_version
from shared.tracking.quality import DEFAULT
from shared.tracking.schema import run
from shared.tracking.versioning import basis_of, next_number
from shared.tracking.webhook_events import tell_model

MODES = ("centralized", "federated")  # what trains a model of its own; not clients alone, nor comparisons
_LONGEST = 100


def model_name(run_name: str) -> str:
    """The model that a run of this name is a version of: the name, in characters of a URL.

    Returns
    -------
    str
        Other characters than letters, digits, ``.``, ``_`` and ``-`` are replaced by ``-``.
    """
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", run_name)[:_LONGEST].strip("-._")
    if not found:
        return "model"
    return f"model-{found}" if found.isdecimal() else found  # a number alone means a run


def register_run(connection: sa.Connection, run_id: int) -> int | None:
    """Register a run that has just completed, as a version of a model of its tenant.

    A run that was trained on and completed again gets a new number in place of the one that it had.

    Returns
    -------
    int or None
        The id of the version; None of a run that trains no model of its own.
    """
    columns = (run.c.tenant, run.c.name, run.c.training_mode, run.c.config, run.c.summary)
    row = connection.execute(sa.select(*columns).where(run.c.id == run_id)).one()
    if row.training_mode not in MODES or not {"schema", "classes"} & row.summary.keys():
        return None
    basis, now = basis_of(row), datetime.now(UTC)
    connection.execute(sa.delete(model_version).where(model_version.c.run_id == run_id))
    name, test = model_name(row.name), row.summary.get("test") or {}
    found = _model(connection, name, tenant=row.tenant, basis=basis, test=test, now=now)
    if found.major == 0:
        number, reason = (1, 0, 0), "the first version"
    else:
        number, reason = next_number((found.major, found.minor, found.patch), found.basis, basis)
    major, minor, patch = number
    given = {"major": major, "minor": minor, "patch": patch}
    connection.execute(sa.update(model).where(model.c.id == found.id).values(**given, basis=basis))
    key = connection.execute(
        sa.insert(model_version).values(model_id=found.id, run_id=run_id, reason=reason, created=now, **given)
    ).inserted_primary_key
    assert key is not None
    tell_model(connection, key[0], "model.registered")
    return int(key[0])


def _model(connection: sa.Connection, name: str, *, tenant: str, basis: Any, test: Any, now: datetime) -> Any:
    """The row of a model, locked; made if there is none."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    new = {
        "tenant": tenant,
        "name": name,
        "threshold": DEFAULT if "f1" in test else "",
        "major": 0,
        "minor": 0,
        "patch": 0,
        "basis": basis,
        "created": now,
    }
    insert = dialect.insert(model).values(new)
    connection.execute(insert.on_conflict_do_nothing(index_elements=["tenant", "name"]))
    here = (model.c.tenant == tenant) & (model.c.name == name)
    return connection.execute(sa.select(model).where(here).with_for_update()).one()
