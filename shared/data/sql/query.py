"""`run_query`: the rows of the configured query or table, in an order that does not depend on the database."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from shared.config.problems import did_you_mean
from shared.config.table_data import TableDataConfig
from shared.data.pixels.limits import over
from shared.data.sources.columns import missing_column
from shared.data.sources.table import metadata_error
from shared.data.sql.address import Address, address_of
from shared.data.sql.statement import GUARDED, check_statement
from shared.data.sql.values import Column
from shared.runtime.errors import DataError

_CHUNK = 20_000  # rows at once
_SHOWN = 120  # characters of a query


def origin_of(cfg: TableDataConfig) -> str:
    """What messages call the rows: the database without its password, and the query or table."""
    assert cfg.url is not None
    address = address_of(cfg.url)
    what = cfg.table or address.without_secrets(" ".join((cfg.query or "").split()))
    return f"{address.shown}: {what[:_SHOWN]}{'...' if len(what) > _SHOWN else ''}"


def run_query(cfg: TableDataConfig) -> pa.Table:
    """Run the query, in chunks and in a transaction that only reads.

    Returns
    -------
    Table
        Sorted by ``data.key``, or by all columns: rows that are equal in all are interchangeable.

    Raises
    ------
    DataError
        The database is away or refuses; there is no row, or more than the limits allow; a column has no name,
        or one that another has, or holds lists or bytes; ``data.key`` is not there, empty or the same in two
        rows.
    """
    assert cfg.url is not None
    address, origin = address_of(cfg.url), origin_of(cfg)
    if cfg.query is not None:
        check_statement(cfg.query, dialect=address.dialect)  # before anything is opened
    table = _sorted(_fetch(cfg, address, origin=origin), cfg.key, origin=origin)
    if address.dialect not in GUARDED:  # which may show a change in the middle
        again = _sorted(_fetch(cfg, address, origin=origin), cfg.key, origin=origin)
        if digest_of(again) != digest_of(table):
            raise DataError(f"{origin} changed while it was read; run again when nothing writes to it")
    return table


def names_of(cfg: TableDataConfig) -> list[str]:
    """The columns of the query, of whose rows at most one is fetched.

    Raises
    ------
    DataError
    """
    assert cfg.url is not None
    address, origin = address_of(cfg.url), origin_of(cfg)
    with address.read() as connection:
        statement = _statement(cfg, address, connection)
        with connection.exec_driver_sql(statement) as result:
            names = _names(result, cfg, origin=origin)
            if result.fetchone() is None:
                raise metadata_error(origin, ["it returns no rows"])
    return names


def digest_of(table: pa.Table) -> str:
    """SHA-256 of names, types and values, in their order; 64 hexadecimal digits."""
    content = hashlib.sha256()
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        content.update(f"{name}\0{column.type}\0{len(column)}\0".encode())
        there = np.packbits(np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False)))
        content.update(there.tobytes())
        if pa.types.is_large_string(column.type):
            texts = column.fill_null("")
            content.update(np.asarray(pc.binary_length(texts), dtype="<i8").tobytes())
            content.update("".join(texts.to_pylist()).encode())
        else:
            numbers = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
            content.update(np.ascontiguousarray(numbers.fill_null(0).to_numpy(zero_copy_only=False)).tobytes())
    return content.hexdigest()


def _fetch(cfg: TableDataConfig, address: Address, *, origin: str) -> pa.Table:
    rows = size = 0
    with address.read() as connection:
        statement = _statement(cfg, address, connection)
        with connection.exec_driver_sql(statement) as result:
            names = _names(result, cfg, origin=origin)
            columns = [Column(name) for name in names]
            for part in result.partitions(_CHUNK):
                rows += len(part)
                size += _add(columns, part, origin=origin)
                for text, setting, count, limit in (
                    (f"it has {rows} rows or more", "max_rows", rows, cfg.max_rows),
                    (f"{rows} of its rows have {size} bytes", "max_table_bytes", size, cfg.max_table_bytes),
                ):
                    if count > limit:
                        raise metadata_error(origin, [over(text, setting, limit)])
    if not rows:
        raise metadata_error(origin, ["it returns no rows"])
    if lost := [missing_column(names, name) for name in cfg.key if name not in names]:
        raise metadata_error(origin, [f"{text} (data.key)" for text in lost])
    return pa.table({column.name: column.whole() for column in columns})


def _add(columns: Sequence[Column], part: Sequence[Any], *, origin: str) -> int:
    """Add rows, and return the bytes that they take."""
    try:
        return sum(column.add(values) for column, values in zip(columns, zip(*part, strict=True), strict=True))
    except DataError as error:
        raise metadata_error(origin, [str(error)]) from None


def _statement(cfg: TableDataConfig, address: Address, connection: sa.Connection) -> str:
    if cfg.query is not None:
        return check_statement(cfg.query, dialect=address.dialect)
    assert cfg.table is not None
    schema, _, name = cfg.table.rpartition(".")
    there = sa.inspect(connection)
    known = [*there.get_table_names(schema or None), *there.get_view_names(schema or None)]
    if name not in known:
        shown = f"; it has {', '.join(sorted(known)[:20])}" if known else "; it has none that this user sees"
        raise DataError(
            f"data.table: {address.shown} has no table {cfg.table!r}{did_you_mean(name, known) or shown}"
        )
    quoted = connection.dialect.identifier_preparer.quote
    return f"SELECT * FROM {'.'.join(quoted(part) for part in (schema, name) if part)}"


def _names(result: sa.CursorResult[Any], cfg: TableDataConfig, *, origin: str) -> list[str]:
    if not result.returns_rows:
        raise metadata_error(origin, ["it returns no rows; expected a statement that selects rows"])
    names = [str(name).strip() for name in result.keys()]  # noqa: SIM118  # no mapping
    if len(names) > cfg.max_columns:
        raise metadata_error(origin, [over(f"it has {len(names)} columns", "max_columns", cfg.max_columns)])
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    problems = [f"column {name!r} appears twice; name one of them otherwise (AS)" for name in twice if name]
    problems += [
        f"column {place + 1} has no name; name it (AS)"
        for place, name in enumerate(names)
        if name in ("", "?column?")
    ]
    if problems:
        raise metadata_error(origin, problems)
    return names


def _sorted(table: pa.Table, key: Sequence[str], *, origin: str) -> pa.Table:
    by = list(key or table.column_names)
    sortable = {
        str(place): table[name].cast(pa.int8()) if pa.types.is_boolean(table[name].type) else table[name]
        for place, name in enumerate(by)
    }
    order = pc.sort_indices(pa.table(sortable), sort_keys=[(name, "ascending") for name in sortable])
    table = table.take(order)
    if key:
        problems = [
            f"data.key: column {name!r} is empty in {table[name].null_count} rows; a key is in every row"
            for name in key
            if table[name].null_count
        ]
        if not problems and table.num_rows > 1:
            same = None
            for name in key:
                column = table[name].combine_chunks()
                equal = pc.equal(column.slice(1), column.slice(0, len(column) - 1))
                same = equal if same is None else pc.and_(same, equal)
            place = pc.index(same, True).as_py()
            if place >= 0:
                values = ", ".join(f"{name}={table[name][place].as_py()!r}" for name in key)
                problems.append(
                    f"data.key: two rows or more have {values}; name columns that together tell all rows "
                    "apart, or leave data.key out: the rows are then ordered by all their values"
                )
        if problems:
            raise metadata_error(origin, problems)
    return table
