"""`best_values`: the best validation value of each metric of a run."""

from __future__ import annotations

import sqlalchemy as sa

from shared.metrics.catalogue import spec_of
from shared.metrics.spec import Mode
from shared.tracking.curves import whole_model_query
from shared.tracking.schema import run, run_metrics


def best_values(connection: sa.Connection, run_id: int) -> dict[str, float]:
    """See `Metrics.best_values`."""
    name, value = run_metrics.c.name, run_metrics.c.value
    query = (
        whole_model_query(run_id, name, sa.func.min(value), sa.func.max(value))
        .where(run_metrics.c.stage == "val", value.is_not(None))
        .group_by(name)
        .order_by(name)
    )
    extremes = {metric: (low, high) for metric, low, high in connection.execute(query)}
    modes = {metric: spec_of(metric).mode for metric in extremes} | _monitored_mode(connection, run_id)
    return {
        metric: low if modes[metric] == "min" else high
        for metric, (low, high) in extremes.items()
        if modes[metric] is not None
    }


def _monitored_mode(connection: sa.Connection, run_id: int) -> dict[str, Mode | None]:
    # Only the run itself knows the direction of a metric that is not in the catalogue.
    found = connection.execute(sa.select(run.c.config, run.c.summary).where(run.c.id == run_id)).first()
    config, summary = found or ({}, {})
    trainer = config.get("trainer") or {}
    stored = summary.get("monitor") or {"key": trainer.get("monitor"), "mode": trainer.get("mode")}
    stage, _, name = str(stored["key"] or "").partition("/")
    own: bool = stage == "val" and stored["mode"] in ("min", "max")
    return {name: stored["mode"]} if own and spec_of(name).mode is None else {}
