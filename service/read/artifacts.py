"""Artifacts of a comparison on this machine: paths of its report and figures."""

from __future__ import annotations

from pathlib import Path

from shared.runtime.home import Home
from shared.tracking.rows import RunRow


def comparison_of(run: RunRow) -> int:
    """Id of the comparison that a run is, or belongs to.

    Returns
    -------
    int
        Its own id if it belongs to none.
    """
    return run.comparison_id or run.id


def report_path(home: Home, run: RunRow) -> Path | None:
    """The report of a run's comparison, or of a sweep."""
    path = _folder(home, run) / "report.html"
    return path if path.is_file() else None


def figure_paths(home: Home, run: RunRow) -> dict[str, Path]:
    """The figures of a run's comparison.

    Requested names are only looked up in the result; they never become part of a path.

    Returns
    -------
    dict of str to Path
        By name, without ``.png``.
    """
    found = sorted(_folder(home, run).glob("*.png"))
    return {path.stem: path for path in found if path.is_file()}


def _folder(home: Home, run: RunRow) -> Path:
    if run.training_mode == "sweep":
        return home.sweep_dir(run.id)
    return home.results / f"compare_{comparison_of(run)}"
