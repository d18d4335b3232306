"""Members of a comparison: role and display label of each run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from shared.tracking.twins import members_of

Role = Literal["pooled", "federated", "local"]
ROLES: dict[str, Role] = {"centralized": "pooled", "federated": "federated", "local": "local"}
_CLIENT = re.compile(r"-client-(\d{1,6})$")  # as `fedtwin compare` names local runs


def member(run: RunRow) -> dict[str, Any]:
    """One run of a comparison.

    Parameters
    ----------
    run : RunRow
        Not a comparison itself.

    Returns
    -------
    dict
        See `service.read.schemas.Member`.
    """
    return {
        "id": run.id,
        "role": ROLES[run.training_mode],
        "seed": run.seed,
        "client_id": client_of(run),
        "client_name": client_name(run),
        "status": run.status,
        "name": run.name,
    }


def comparison_members(store: Store, run: RunRow) -> dict[str, Any]:
    """All runs of the comparison that a run is or belongs to; otherwise the run itself.

    Returns
    -------
    dict
        See `service.read.schemas.Family`.
    """
    parent = run.comparison_id
    runs = [run] if parent is None else members_of(store, store.runs.get(parent))
    return {"parent": parent, "members": [member(one) for one in runs if one.training_mode in ROLES]}


def client_of(run: RunRow) -> int | None:
    """The client of a local run.

    Returns
    -------
    int or None
        None for other modes, and of an earlier version if the run's name does not contain it.
    """
    if client := run.summary.get("client"):
        return int(client["id"])
    found = _CLIENT.search(run.name) if run.training_mode == "local" else None
    return int(found[1]) if found else None


def client_name(run: RunRow) -> str | None:
    """What the client of a local run is called; None for other modes."""
    if client := run.summary.get("client"):
        return str(client["name"])
    client_id = client_of(run)
    return None if client_id is None else f"client-{client_id}"


def labels(runs: Sequence[RunRow], *, differs: Sequence[str]) -> list[str]:
    """A short, unique label for each run.

    Parameters
    ----------
    differs : sequence of str
        Settings in which each differs from the others of its role; may be empty. See
        `service.comparison.similarity.group_runs`.

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
    role, name = ROLES[run.training_mode], client_name(run)
    if role != "local":
        return f"{role.capitalize()}, seed {run.seed}"
    client = "" if name is None else f", {name}"
    tuned = "fine_tunes" in run.summary.get("client", {})
    return f"{'Fine-tuned' if tuned else 'Local'}{client}, seed {run.seed}"
