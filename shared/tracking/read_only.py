"""`read_only_engines`: ways to read a SQLite file in a place where nothing can be written."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

_WAL = "-wal"


def read_only_engines(path: Path, *, copy: Callable[[], Path]) -> Iterator[sa.Engine]:
    """Engines for a file that cannot be opened to write, the cheapest first.

    Parameters
    ----------
    copy : callable
        Makes a folder for a copy, where there is no other way.
    """
    yield _engine(path, "mode=ro")  # another process has it open, or its shared memory is still there
    wal = path.with_name(path.name + _WAL)
    if not wal.exists() or not wal.stat().st_size:
        yield _engine(path, "immutable=1")
        return
    # Rows are in the log, and to read that SQLite needs to write: a killed process leaves it so.
    try:
        copied = shutil.copyfile(path, copy() / path.name)
        shutil.copyfile(wal, copied.with_name(wal.name))
    except OSError:
        return
    yield _engine(copied, "mode=rw")


def _engine(path: Path, how: str) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?{how}", uri=True, check_same_thread=False, isolation_level=None
        )
        connection.execute("PRAGMA query_only=ON")
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool, hide_parameters=True)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")
