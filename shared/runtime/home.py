"""Where fedtwin keeps its files: the home folder and what lies in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.runtime.errors import ConfigError

if TYPE_CHECKING:  # settings take a tenth of a second to import
    from shared.config.tracking import TrackingConfig


@dataclass(frozen=True)
class Home:
    """The folder below which everything is written.

    Attributes
    ----------
    root : Path
        Absolute.
    database_url : str
        SQLAlchemy URL; a SQLite file in the home unless one was given.
    """

    root: Path
    database_url: str

    @property
    def cache(self) -> Path:
        """Decoded images, shared by all runs."""
        return self.root / "cache"

    @property
    def results(self) -> Path:
        """Exports, reports and figures."""
        return self.root / "results"

    def run_dir(self, run_id: int) -> Path:
        """Folder of one run's checkpoints and predictions."""
        return self.root / "runs" / str(run_id)

    def comparison_dir(self, run_id: int) -> Path:
        """Folder of a comparison's figures and report."""
        return self.results / f"compare_{run_id}"

    def files_of(self, run_id: int) -> list[Path]:
        """Everything that a run has written, files and folders, where it is there."""
        exports = [self.results / f"metrics_{run_id}.{suffix}" for suffix in ("json", "csv")]
        paths = [self.run_dir(run_id), self.comparison_dir(run_id), *exports]
        return [path for path in paths if path.exists()]


def open_home(tracking: TrackingConfig | None = None) -> Home:
    """Find the home: from the configuration, else ``FEDTWIN_HOME``, else the XDG data folder.

    Returns
    -------
    Home
        Its folder exists.

    Raises
    ------
    ConfigError
        The folder cannot be made.
    """
    given = tracking.home if tracking else None
    xdg = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    root = Path(given or os.environ.get("FEDTWIN_HOME") or Path(xdg) / "fedtwin").expanduser().absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the home folder {root} cannot be made: {error.strerror}; "
            f"set FEDTWIN_HOME to a folder that you may write to"
        ) from None
    url = (tracking.database_url if tracking else None) or os.environ.get("FEDTWIN_DATABASE_URL")
    return Home(root=root, database_url=url or f"sqlite:///{root / 'fedtwin.db'}")
