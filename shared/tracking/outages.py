"""`named_error`: what a database answered, as an error that says whether to wait, and what helps."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from shared.runtime.errors import DatabaseAway, TrackingError

# By the beginning of SQLite's name of an error: what it is, and what helps.
_SQLITE = {
    "SQLITE_BUSY": ("it is locked by another process, such as a backup", "try again when that has ended"),
    "SQLITE_LOCKED": ("it is locked", "try again"),
    "SQLITE_FULL": ("its disk is full", "make room there"),
    "SQLITE_IOERR": ("its disk is full or broken", "make room there, or mend it"),
    "SQLITE_READONLY": ("it can only be read", "its file and folder must be writable"),
}
_PASSING = (*_SQLITE, "SQLITE_CANTOPEN", "SQLITE_PROTOCOL")  # others: not our file, or our own mistake
_FILE = "its folder must exist and be writable, and the file must be one that fedtwin made"
# By the beginning of PostgreSQL's code of an error.
_POSTGRESQL = {
    "55P03": ("it is locked by another session", "try again when that has ended"),
    "53100": ("the disk of its server is full", "make room there"),
    "53300": ("it has no connection to spare", "end other programs, or raise max_connections"),
    "57P": ("connection lost", "try again when the server has started"),
    "08": ("connection lost", "check that the server runs and can be reached"),
}
_SERVER = "check that the server runs, and the host, the database, the user and the password"


def named_error(error: sa.exc.SQLAlchemyError, *, shown: str, hide: Callable[[str], str]) -> TrackingError:
    """The error of a user for one of the driver.

    Parameters
    ----------
    shown : str
        The database's URL without its password.
    hide : callable
        Takes passwords out of a text.

    Returns
    -------
    TrackingError
        A `DatabaseAway` where later the same may succeed.
    """
    cause = hide(" ".join(str(getattr(error, "orig", error)).split()))
    what, advice = _explain(error)
    kind = DatabaseAway if _may_pass(error) else TrackingError
    said = cause if what is None else f"{what} ({cause})"
    return kind(f"cannot use the tracking database {shown}: {said}; {advice}")


def _may_pass(error: sa.exc.SQLAlchemyError) -> bool:
    if (name := getattr(getattr(error, "orig", None), "sqlite_errorname", None)) is not None:
        return str(name).startswith(_PASSING)
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError):
        return True
    return isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated


def _explain(error: sa.exc.SQLAlchemyError) -> tuple[str | None, str]:
    driver = getattr(error, "orig", None)
    name = getattr(driver, "sqlite_errorname", None)
    if name is not None or type(driver).__module__ == "sqlite3":
        return next(
            (found for start, found in _SQLITE.items() if (name or "").startswith(start)), (None, _FILE)
        )
    code = getattr(driver, "sqlstate", None) or ""
    for start, found in _POSTGRESQL.items():
        if code.startswith(start):
            return found
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return _POSTGRESQL["08"]
    return None, _SERVER
