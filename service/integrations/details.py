"""`read_details`: what followers tell of a run beside its rows: settings, results, files and version."""

from __future__ import annotations

import json
import math

from service.integrations.tracker import Details
from service.read.run_config import flat
from shared.metrics.gap import stored_gap
from shared.metrics.gap_record import gap_record
from shared.runtime.home import Home
from shared.runtime.secrets import without_secrets
from shared.tracking.kept_files import kept_files
from shared.tracking.rows import RunRow
from shared.tracking.store import Store


def read_details(store: Store, run: RunRow, *, home: Home) -> Details:
    """Read it.

    Raises
    ------
    TrackingError
    """
    settings = {key: _text(value) for key, value in flat(without_secrets(run.config))}
    results = {
        f"gap/{row['metric']}{suffix}": row[name]
        for row in map(gap_record, stored_gap(run.summary))
        for name, suffix in (("gap", ""), ("low", "_low"), ("high", "_high"))
        if row[name] is not None
    }
    seconds = {"training_seconds": run.seconds} if run.finished else {}
    return Details(
        run=run,
        settings=settings,
        results={key: value for key, value in {**results, **seconds}.items() if math.isfinite(value)},
        files=kept_files(run, home=home) if run.finished else [],
        version=store.models.of_run(run.id),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
