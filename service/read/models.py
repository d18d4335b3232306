"""Models and versions as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.runtime.export_formats import SUFFIXES
from shared.runtime.home import Home
from shared.tracking.model_rows import ModelRow, VersionRow
from shared.tracking.rows import MODE_NAMES, json_ready
from shared.tracking.store import TenantStore


def model_view(store: TenantStore, row: ModelRow) -> dict[str, Any]:
    """One model; see `service.api.model_schemas.RegisteredModel`."""
    values = row.as_dict()
    del values["id"]
    return {**values, "aliases": store.models.aliases(row.name)}


def model_detail(store: TenantStore, row: ModelRow) -> dict[str, Any]:
    """One model with its history; see `service.api.model_schemas.ModelDetail`."""
    shown = ("kind", "alias", "version", "detail", "time")
    history = [event.as_dict() for event in store.models.history(row.name)]
    return {**model_view(store, row), "history": [{name: one[name] for name in shown} for one in history]}


def version_view(store: TenantStore, row: VersionRow) -> dict[str, Any]:
    """One version; see `service.api.model_schemas.ModelVersion`."""
    run = store.runs.get(row.run_id)
    return {
        **row.as_dict(),
        "run_name": run.name,
        "mode": MODE_NAMES[run.training_mode],
        "test": json_ready(run.summary.get("test") or {}),
    }


def export_path(home: Home, row: VersionRow, format: str) -> Path:
    """Where a version is exported to: in the folder of its run, with which it is deleted."""
    return home.run_dir(row.run_id) / "exports" / f"{row.version}{SUFFIXES[format]}"
