"""`Home`: the folder in which fedtwin keeps its database, caches, runs and results."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.runtime.errors import ConfigError


class Places(Protocol):
    """Settings that say where files and the database are, such as ``TrackingConfig``."""

    @property
    def home(self) -> str | None: ...  # noqa: D102

    @property
    def database_url(self) -> str | None: ...  # noqa: D102


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

    def comparison_dir(self, run_id: int) -> Path:
        """Folder of a comparison's figures and report."""
        return self.results / f"compare_{run_id}"

    def files_of(self, run_id: int) -> list[Path]:
        """Everything that a run has written, files and folders, where it is there."""
        exports = [self.results / f"metrics_{run_id}.{suffix}" for suffix in ("json", "csv")]
        paths = [self.run_dir(run_id), self.comparison_dir(run_id), *exports]
        return [path for path in paths if path.exists()]


def open_home(places: Places | None = None) -> Home:
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
    given = places.home if places else None
    xdg = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    root = Path(given or os.environ.get("FEDTWIN_HOME") or Path(xdg) / "fedtwin").expanduser().absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot create the home folder {root}: {error.strerror}; set FEDTWIN_HOME to a writable folder"
        ) from None
    url = (places.database_url if places else None) or os.environ.get("FEDTWIN_DATABASE_URL")
    return Home(root=root, database_url=url or f"sqlite:///{root / 'fedtwin.db'}")
