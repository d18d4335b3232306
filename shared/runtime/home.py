"""`Home`: the folder in which fedtwin keeps its database, caches, runs and results."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.runtime.errors import ConfigError

# Set to 1, others of the machine may read the home, as far as the umask lets them.
SHARED = "FEDTWIN_SHARED_HOME"
PRIVATE_UMASK = 0o077
PRIVATE = 0o700
_warned: set[Path] = set()


def keep_private() -> None:
    """Let whatever this process and those that it starts write be the user's own, unless the home is shared.

    For processes that are fedtwin's own: a program that calls the Python API keeps its umask, and only the home
    is closed to others.
    """
    if not is_shared():
        os.umask(PRIVATE_UMASK)


def is_shared() -> bool:
    """Whether others of the machine may read the home.

    Raises
    ------
    ConfigError
        The variable is neither 0 nor 1.
    """
    given = os.environ.get(SHARED, "0")
    if given not in ("", "0", "1"):
        raise ConfigError(f"{SHARED} is 1 where others may read the home, else 0 or unset, got {given!r}")
    return given == "1"


def make_home(root: Path) -> None:
    """Make a home's folder, which only its user can enter; one that others can enter is told of, once.

    Raises
    ------
    OSError
        It cannot be made.
    """
    if not root.exists():
        root.mkdir(parents=True, exist_ok=True)
        if not is_shared():
            root.chmod(PRIVATE)
        return
    root.mkdir(parents=True, exist_ok=True)  # fails where it is a file
    if is_shared() or os.name == "nt" or root in _warned:
        return
    found = root.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & PRIVATE_UMASK and found.st_uid == os.geteuid():  # nobody else can mend it
        _warned.add(root)
        print(
            f"warning: other users of this machine may read {root} (mode {mode:o}), with its decoded data and "
            f"predictions: chmod -R go-rwx {shlex.quote(str(root))}, or {SHARED}=1 if they shall",
            file=sys.stderr,
        )


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

    @property
    def journals(self) -> Path:
        """Rows of runs that wait for the database, see `shared.tracking.journal`."""
        return self.root / "journals"

    def run_dir(self, run_id: int) -> Path:
        """Folder of one run's checkpoints and predictions."""
        return self.root / "runs" / str(run_id)

    def job_dir(self, job_id: int) -> Path:
        """Folder of a job's log."""
        return self.root / "jobs" / str(job_id)

    def dataset_dir(self, dataset_id: int) -> Path:
        """Folder of a dataset that was uploaded."""
        return self.root / "datasets" / str(dataset_id)

    def comparison_dir(self, run_id: int) -> Path:
        """Folder of a comparison's figures and report."""
        return self.results / f"compare_{run_id}"

    def sweep_dir(self, run_id: int) -> Path:
        """Folder of a sweep's summary."""
        return self.results / f"sweep_{run_id}"

    def files_of(self, run_id: int) -> list[Path]:
        """Everything that a run has written, files and folders, where it is there."""
        exports = [self.results / f"metrics_{run_id}.{suffix}" for suffix in ("json", "csv")]
        paths = [self.run_dir(run_id), self.comparison_dir(run_id), self.sweep_dir(run_id), *exports]
        return [path for path in paths if path.exists()]


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:  # a user of another machine, or of a container
        return f"user {path.stat().st_uid}"


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
        make_home(root)
    except OSError as error:
        raise ConfigError(
            f"cannot create the home folder {root}: {error.strerror}; set FEDTWIN_HOME to a writable folder"
        ) from None
    if not os.access(root, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise ConfigError(
            f"the home folder {root} belongs to {_owner(root)} and is closed to others (mode "
            f"{stat.S_IMODE(root.stat().st_mode):o}); set FEDTWIN_HOME to a folder of your own"
        )
    url = (places.database_url if places else None) or os.environ.get("FEDTWIN_DATABASE_URL")
    return Home(root=root, database_url=url or f"sqlite:///{root / 'fedtwin.db'}")
