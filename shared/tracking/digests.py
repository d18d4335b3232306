"""Keeps digests of long runs: what charts need of many rows in one row, so that no reader reads them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from shared.tracking.schema import metric_digest, run, run_metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shared.tracking.points import Points

ROWS = 20_000  # that a digest is made of
LATE = 3 * ROWS  # rows without a digest: an older version wrote them
ONE_READ = 50_000


def keep_digest(connection: sa.Connection, run_id: int) -> None:
    """Store a digest of what is in none yet, in the caller's transaction, which locks the run."""
    from shared.tracking.points import pack, steps_of  # NumPy, which no list of runs needs

    federated = _is_federated(connection, run_id)
    after = digested(connection, run_id)
    while True:
        points = read_points(connection, run_id, federated=federated, after=after, limit=ONE_READ)
        if not len(points.rows):
            return
        points = _whole(points)
        after = int(points.rows["id"].max())
        content = pack(points.digest(), steps_of(points, federated=federated))
        row = {"run_id": run_id, "last_id": after, "num_rows": len(points.rows), "content": content}
        connection.execute(sa.insert(metric_digest).values(row))


def _whole(points: Points) -> Points:
    # Local epochs of a client in a round come together, and the last one stands for the round.
    from shared.tracking.points import Points

    rows = points.rows
    if len(rows) < ONE_READ:
        return points
    others = (rows["client"] != rows["client"][-1]) | (rows["step"] != rows["step"][-1])
    return Points(points.keys, rows[: others.nonzero()[0][-1] + 1]) if others.any() else points


def digested(connection: sa.Connection, run_id: int) -> int:
    """The id of the newest row that is in a digest; 0 without any."""
    query = sa.select(sa.func.max(metric_digest.c.last_id)).where(metric_digest.c.run_id == run_id)
    return connection.scalar(query) or 0


def count_since(connection: sa.Connection, run_id: int, *, after: int, most: int) -> int:
    """How many rows of a run are newer than one, counted up to ``most``."""
    newer = sa.select(run_metrics.c.id).where(run_metrics.c.run_id == run_id, run_metrics.c.id > after)
    return connection.scalar(sa.select(sa.func.count()).select_from(newer.limit(most).subquery())) or 0


def read_digests(connection: sa.Connection, run_id: int) -> tuple[list[Points], list[NDArray[np.void]], int]:
    """The digests of a run: points, steps (see `shared.tracking.points.steps_of`), the newest row in them."""
    from shared.tracking.points import unpack

    query = sa.select(metric_digest.c.last_id, metric_digest.c.content).where(metric_digest.c.run_id == run_id)
    points, steps, last = [], [], 0
    for last_id, content in connection.execute(query.order_by(metric_digest.c.last_id)):
        of_rows, of_steps = unpack(content)
        points.append(of_rows)
        steps.append(of_steps)
        last = last_id
    return points, steps, last


def newest_digested(connection: sa.Connection, run_id: int) -> tuple[list[int], int]:
    """Of the digests of a run: the newest row of each curve, and the newest row of all."""
    if not digested(connection, run_id):
        return [], 0
    from shared.tracking.points import Points

    points, _, last = read_digests(connection, run_id)
    return Points.joined(points).newest().tolist(), last


def read_points(
    connection: sa.Connection, run_id: int, *, federated: bool, after: int, limit: int | None = None
) -> Points:
    """Rows of a run as they were stored, after one, oldest first."""
    from shared.tracking.points import Points

    columns = run_metrics.c
    query = (
        sa.select(*point_columns(connection, federated=federated))
        .where(columns.run_id == run_id, columns.id > after)
        .order_by(columns.id)
        .limit(limit)
    )
    return Points.of(connection.execute(query).all())


def point_columns(connection: sa.Connection, *, federated: bool) -> list[sa.ColumnElement[Any]]:
    """The columns of `shared.tracking.points.Points.of`, as the driver holds them."""
    columns = run_metrics.c
    time: sa.ColumnElement[Any] = sa.type_coerce(columns.time, sa.String)
    if connection.dialect.name == "postgresql":
        time = sa.type_coerce(sa.func.timezone("UTC", columns.time), sa.String)
    return [
        columns.id,
        sa.func.coalesce(columns.client_id, -1),
        sa.func.coalesce(columns.round if federated else columns.epoch, -1),
        sa.func.coalesce(columns.epoch, -1),
        columns.stage,
        columns.name,
        sa.type_coerce(columns.value, sa.Double),
        sa.func.coalesce(columns.num_examples, -1),
        time,
    ]


def _is_federated(connection: sa.Connection, run_id: int) -> bool:
    return connection.scalar(sa.select(run.c.training_mode).where(run.c.id == run_id)) == "federated"
