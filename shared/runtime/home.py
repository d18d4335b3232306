"""`Home`: the folder in which fedtwin keeps its database, caches, runs and results."""

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
    """The folder in which everything is written.

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


def open_home(tracking: TrackingConfig | None = None) -> Home:
    """Find the home (configuration, ``FEDTWIN_HOME``, or the XDG data folder, in this order) and create it.

    Returns
    -------
    Home
        Whose folder exists.

    Raises
    ------
    ConfigError
        The folder cannot be created.
    """
    given = tracking.home if tracking else None
    xdg = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    root = Path(given or os.environ.get("FEDTWIN_HOME") or Path(xdg) / "fedtwin").expanduser().absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot create the home folder {root}: {error.strerror}; set FEDTWIN_HOME to a writable folder"
        ) from None
    url = (tracking.database_url if tracking else None) or os.environ.get("FEDTWIN_DATABASE_URL")
    return Home(root=root, database_url=url or f"sqlite:///{root / 'fedtwin.db'}")
