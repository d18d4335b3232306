"""`pin_rows`: the rows of a query in the cache, by their content: all processes of a run read the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.config.table_data import TableDataConfig
from shared.data.cache import TABLES, drop_entry, open_entry, remember_digest
from shared.data.seal import is_whole, write_seal
from shared.data.sources.columns import may_play_a_part
from shared.data.tables.reading import columns_config
from shared.runtime.errors import DataError
from shared.runtime.files import disk_error, is_of_disk

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = "rows.parquet"
_SHOWN = 8  # digits of a digest


def pin_rows(cfg: TableDataConfig, *, cache: Path) -> str:
    """Run the query, and keep its rows.

    Returns
    -------
    str
        Their digest, for ``data.digest``.

    Raises
    ------
    DataError
    """
    from shared.data.sql.query import digest_of, run_query

    table = run_query(cfg)
    digest = digest_of(table)
    _keep(table, digest, cache=cache)
    return digest


def pin_rows_of_run(cfg: TableDataConfig, *, cache: Path, run: str) -> str:
    """The digest of the rows that a site gives to a run: the query is run once for it, whatever process asks.

    Parameters
    ----------
    run : str
        Flower's id of the run.
    """
    asked = json.dumps([cfg.url, cfg.query, cfg.table, cfg.key])
    name = Path("/sql") / hashlib.sha256(asked.encode()).hexdigest()
    return remember_digest(cache, path=name, stamp=f"run {run}", compute=lambda: pin_rows(cfg, cache=cache))


def table_of_query(
    cfg: TableDataConfig, *, cache: Path, keep: Sequence[str] = ()
) -> tuple[TableDataConfig, str]:
    """Settings of the table that the rows of a query are kept as, and what messages call it.

    With ``data.digest`` the kept rows are read, and the database is asked only where they are gone.

    Parameters
    ----------
    keep : sequence of str
        Columns that somebody needs.

    Raises
    ------
    DataError
        The query cannot be run; or it gives other rows than those of ``data.digest``.
    """
    from shared.data.sql.query import digest_of, origin_of, run_query

    digest = cfg.digest or pin_rows(cfg, cache=cache)
    if not is_whole(_entry(cache, digest)):
        drop_entry(cache, key=_key(digest))
        table = run_query(cfg)
        if (now := digest_of(table)) != digest:
            raise DataError(
                f"{origin_of(cfg)} gives other rows now (digest {now[:_SHOWN]}, {table.num_rows:,} rows) than "
                f"those of data.digest={digest[:_SHOWN]}..., which the cache no longer has: the table has "
                "changed; train anew"
            )
        _keep(table, digest, cache=cache)
    named = {cfg.target, *(cfg.inputs or ()), *cfg.kinds, *cfg.levels, *keep, *cfg.drop}
    parts = columns_config(cfg)
    # A key tells rows apart, as a number of a row does: it is no input unless somebody says so.
    own = [name for name in cfg.key if name not in named and not may_play_a_part(name, parts)]
    path = str(_entry(cache, digest) / _ROWS)
    try:
        origin = origin_of(cfg)
    except DataError:  # a process that reads kept rows need not know where the database is
        origin = cfg.table or " ".join((cfg.query or "").split())[:120]
    return cfg.model_copy(update={"path": path, "drop": (*cfg.drop, *own)}), origin


def _keep(table: pa.Table, digest: str, *, cache: Path) -> None:
    def build(folder: Path) -> None:
        import pyarrow.parquet as pq

        try:
            pq.write_table(table, folder / _ROWS)
            write_seal(folder)
        except OSError as error:
            if is_of_disk(error):
                raise disk_error(error, path=folder) from None
            raise

    open_entry(cache, key=_key(digest), build=build, kind=TABLES)


def _entry(cache: Path, digest: str) -> Path:
    return cache / TABLES / _key(digest)


def _key(digest: str) -> str:
    return digest[:32]
