"""`read_details`: what followers tell of a run beside its rows: settings, results, files and version."""

from __future__ import annotations

import json
import math
from pathlib import Path

from service.integrations.tracker import Details
from service.read.run_config import flat, setting
from shared.metrics.gap import stored_gap
from shared.metrics.gap_record import gap_record
from shared.runtime.home import Home
from shared.runtime.secrets import without_secrets
from shared.tracking.rows import RunRow
from shared.tracking.run_log import LOG_FILE
from shared.tracking.store import Store


def read_details(store: Store, run: RunRow, *, home: Home) -> Details:
    """Read it.

    Files are those of this machine: the log, exports, the chosen model, and a comparison's report and figures.
    Predictions stay at home, since they name rows, and with them patients.

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
        files=list(_files(run, home=home)) if run.finished else [],
        version=store.models.of_run(run.id),
    )


def _files(run: RunRow, *, home: Home) -> list[tuple[Path, str]]:
    folder = home.run_dir(run.id)
    kind = "safetensors" if run.training_mode == "federated" else "ckpt"
    chosen = folder / "checkpoints" / f"{setting(run.config, 'trainer.test_model')}.{kind}"
    found = [(folder / LOG_FILE, ""), (chosen, "model")]
    found += [(home.results / f"metrics_{run.id}.{suffix}", "") for suffix in ("json", "csv")]
    for own in (home.comparison_dir(run.id), home.sweep_dir(run.id)):
        found += [
            (path, "report") for path in sorted(own.glob("*")) if path.suffix in (".html", ".png", ".csv")
        ]
    return [(path, where) for path, where in found if path.is_file()]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
