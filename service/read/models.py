"""Models and versions as JSON."""

from __future__ import annotations

from typing import Any

from shared.tracking.model_rows import ModelRow, VersionRow
from shared.tracking.rows import MODE_NAMES, json_ready
from shared.tracking.store import Store


def model_view(store: Store, row: ModelRow) -> dict[str, Any]:
    """One model; see `service.api.model_schemas.RegisteredModel`."""
    values = row.as_dict()
    del values["id"]
    return {**values, "aliases": store.models.aliases(row.name)}


def model_detail(store: Store, row: ModelRow) -> dict[str, Any]:
    """One model with its history; see `service.api.model_schemas.ModelDetail`."""
    shown = ("kind", "alias", "version", "detail", "time")
    history = [event.as_dict() for event in store.models.history(row.name)]
    return {**model_view(store, row), "history": [{name: one[name] for name in shown} for one in history]}


def version_view(store: Store, row: VersionRow) -> dict[str, Any]:
    """One version; see `service.api.model_schemas.ModelVersion`."""
    run = store.runs.get(row.run_id)
    return {
        **row.as_dict(),
        "run_name": run.name,
        "mode": MODE_NAMES[run.training_mode],
        "test": json_ready(run.summary.get("test") or {}),
    }
