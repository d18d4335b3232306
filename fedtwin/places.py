"""`find_home` and `open_store`: where the runs of an API call are kept."""

from __future__ import annotations

from pathlib import Path

from shared.runtime.errors import ConfigError
from shared.runtime.home import Home, make_home, open_home
from shared.tracking.store import Store

Place = str | Path | None


def find_home(store: Place = None) -> Home:
    """The home of runs.

    Parameters
    ----------
    store : str or Path, optional
        A folder, which holds the database and all files; or the URL of a database, whose runs have their files
        below ``FEDTWIN_HOME``. Without it, what the environment says, as for the commands.

    Raises
    ------
    ConfigError
        It is a file, or a folder that cannot be made.
    """
    if store is None:
        return open_home()
    if "://" in str(store):
        return Home(root=open_home().root, database_url=str(store))
    root = Path(store).expanduser().absolute()
    if root.is_file():
        raise ConfigError(f"store is a folder or a database's URL, got the file {root}")
    try:
        make_home(root)
    except OSError as error:
        raise ConfigError(f"the folder {root} cannot be made: {error.strerror}") from None
    return Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")


def open_store(home: Home) -> Store:
    """The store of a home, in which runs whose process is gone have ended."""
    store = Store(home.database_url)
    store.runs.settle(home.journals)
    return store
