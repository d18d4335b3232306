"""The runs of one comparison: which part each plays, and what it is called; `compare` draws them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from shared.tracking.rows import RunRow
from shared.tracking.store import Store

Role = Literal["pooled", "federated", "local"]
ROLES: dict[str, Role] = {"centralized": "pooled", "federated": "federated", "local": "local"}
_CLIENT = re.compile(r"-client-(\d{1,6})$")  # as `fedtwin compare` names a client that trains alone


def member(run: RunRow) -> dict[str, Any]:
    """One run of a comparison.

    Parameters
    ----------
    run : RunRow
        Not a comparison itself.

    Returns
    -------
    dict
        See `service.api.schemas.Member`.
    """
    return {
        "id": run.id,
        "role": ROLES[run.training_mode],
        "seed": run.seed,
        "client_id": client_of(run),
        "status": run.status,
        "name": run.name,
    }


def family(store: Store, run: RunRow) -> dict[str, Any]:
    """All runs of the comparison that a run belongs to, or is; or the run alone.

    Returns
    -------
    dict
        See `service.api.schemas.Family`.
    """
    parent = run.id if run.training_mode == "compare" else run.parent_id
    runs = [run] if parent is None else store.runs.children(parent)
    return {"parent": parent, "members": [member(one) for one in runs if one.training_mode in ROLES]}


def client_of(run: RunRow) -> int | None:
    """Which client trained alone in a run.

    Returns
    -------
    int or None
        None for runs of other modes, and where the name does not tell.
    """
    found = _CLIENT.search(run.name) if run.training_mode == "local" else None
    return int(found[1]) if found else None


def labels(runs: Sequence[RunRow], *, differs: Sequence[str]) -> list[str]:
    """A short name for each of some runs, no two alike.

    Parameters
    ----------
    differs : sequence of str
        In what each of them differs from the others of its role (`alike.groups`); may be empty.

    Returns
    -------
    list of str
        Such as ``Pooled, seed 42``.
    """
    plain = [", ".join(filter(None, (_label(run), words))) for run, words in zip(runs, differs, strict=True)]
    count = Counter(plain)
    return [
        f"{label}, run {run.id}" if count[label] > 1 else label for label, run in zip(plain, runs, strict=True)
    ]


def _label(run: RunRow) -> str:
    role, client_id = ROLES[run.training_mode], client_of(run)
    if role != "local":
        return f"{role.capitalize()}, seed {run.seed}"
    who = "Client" if client_id is None else f"Client {client_id}"
    return f"{who} alone, seed {run.seed}"
