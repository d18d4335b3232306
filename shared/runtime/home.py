"""`Home`: the folder where fedtwin keeps its files, and what is in it."""

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


def open_home(places: Places | None = None) -> Home:
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
    given = places.home if places else None
    xdg = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    root = Path(given or os.environ.get("FEDTWIN_HOME") or Path(xdg) / "fedtwin").expanduser().absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the home folder {root} cannot be made: {error.strerror}; "
            f"set FEDTWIN_HOME to a folder that you may write to"
        ) from None
    url = (places.database_url if places else None) or os.environ.get("FEDTWIN_DATABASE_URL")
    return Home(root=root, database_url=url or f"sqlite:///{root / 'fedtwin.db'}")
