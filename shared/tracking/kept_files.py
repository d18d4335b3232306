"""`kept_files`: what of a run's files may be given to others, with the folder that each belongs to."""

from __future__ import annotations

from pathlib import Path

from shared.runtime.home import Home
from shared.tracking.rows import RunRow
from shared.tracking.run_log import LOG_FILE


def kept_files(run: RunRow, *, home: Home) -> list[tuple[Path, str]]:
    """Those that are on this machine: the log, exports, the chosen model, a comparison's report and figures.

    Predictions are not among them, since they name rows, and with them patients.

    Returns
    -------
    list of (Path, str)
        The folder is ``model``, ``report`` or empty.
    """
    folder = home.run_dir(run.id)
    kind = "safetensors" if run.training_mode == "federated" else "ckpt"
    chosen = folder / "checkpoints" / f"{(run.config.get('trainer') or {}).get('test_model')}.{kind}"
    found = [(folder / LOG_FILE, ""), (chosen, "model")]
    found += [(home.results / f"metrics_{run.id}.{suffix}", "") for suffix in ("json", "csv")]
    for own in (home.comparison_dir(run.id), home.sweep_dir(run.id)):
        found += [
            (path, "report") for path in sorted(own.glob("*")) if path.suffix in (".html", ".png", ".csv")
        ]
    return [(path, where) for path, where in found if path.is_file()]
