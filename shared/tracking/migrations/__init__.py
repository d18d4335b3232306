"""Brings a database to the current schema; the steps are in ``versions/``.

A change of ``schema.py`` needs a new file in ``versions/`` and its name in `KNOWN`; the tests compare both ways
of making the schema.
"""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

KNOWN = (
    *("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0009", "0008", "0010", "0012", "0013", "0014"),
    *("0015", "0016", "0017", "0018"),
)
HEAD = KNOWN[-1]
_ALEMBIC_LOCK = threading.Lock()  # Alembic keeps its context in globals of the process


def revision(connection: sa.Connection) -> str | None:
    """The version of the schema in a database.

    Returns
    -------
    str or None
        None where no schema was made yet.
    """
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return version


def upgrade(connection: sa.Connection, *, to: str = HEAD) -> None:
    """Apply all steps that are missing, within the caller's transaction.

    Parameters
    ----------
    connection : Connection
        In a transaction that keeps other processes from migrating at the same time.
    to : str
        The version.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _ALEMBIC_LOCK:
        command.upgrade(config, to)
