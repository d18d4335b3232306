"""Reports and figures that a comparison left on this machine: what there is, and where it lies."""

from __future__ import annotations

from pathlib import Path

from shared.runtime.home import Home
from shared.tracking.rows import RunRow


def comparison_of(run: RunRow) -> int:
    """The comparison that a run is, or belongs to.

    Returns
    -------
    int
        Its own id, where it belongs to none.
    """
    return run.id if run.training_mode == "compare" or run.parent_id is None else run.parent_id


def report(home: Home, run: RunRow) -> Path | None:
    """The report of a run's comparison."""
    path = _folder(home, run) / "report.html"
    return path if path.is_file() else None


def figures(home: Home, run: RunRow) -> dict[str, Path]:
    """The figures of a run's comparison.

    A name that somebody asks for is only ever looked up here; no path is made of it.

    Returns
    -------
    dict of str to Path
        By name, without ``.png``.
    """
    found = sorted(_folder(home, run).glob("*.png"))
    return {path.stem: path for path in found if path.is_file()}


def _folder(home: Home, run: RunRow) -> Path:
    return home.results / f"compare_{comparison_of(run)}"
