"""The curves of a run: metric values by round or epoch, downsampled to what a screen can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from service.read.run_config import unit
from shared.tracking.rows import RunRow
from shared.tracking.series import Point, milliseconds
from shared.tracking.store import Store

STAGES = ("train", "val", "test")


def run_series(
    store: Store,
    run: RunRow,
    *,
    points: int,
    stage: str | None = None,
    name: str | None = None,
    clients: bool = True,
) -> dict[str, Any]:
    """One curve for each stage, metric and client.

    If a client trains several epochs in a round, the last one represents the round, as in the aggregate.

    Parameters
    ----------
    points : int
        Most points of each curve, 4 or more.
    stage, name : str, optional
        Restrict to these.
    clients : bool
        Whether to include the curves of the clients.

    Returns
    -------
    dict
        See `service.api.chart_schemas.SeriesList`.
    """
    by = unit(run)
    found = store.series.points(run.id, stage=stage, name=name, clients=clients)
    curves: dict[tuple[str, str, int | None], dict[int, Point]] = {}
    for row in found.rows:
        step = row[1] if by == "round" else row[2]
        if step is None:
            continue  # the final test
        curve = curves.setdefault((row[3], row[4], row[0]), {})
        before = curve.get(step)
        if before is None or (row[2] or 0) >= (before[2] or 0):
            curve[step] = row
    ordered = sorted(curves.items(), key=_place)
    return {
        "cursor": found.cursor,
        "series": [_curve(key, curve, by=by, points=points) for key, curve in ordered],
    }


def downsample(values: Sequence[float], *, points: int) -> list[int]:
    """Choose values of a long curve so that its plot looks the same (min-max downsampling).

    The values between the first and the last are cut into buckets of equal length; minimum and maximum of each
    are kept. NaN and infinity are kept only if a bucket has nothing else.

    Parameters
    ----------
    points : int
        Most values to keep, 4 or more.

    Returns
    -------
    list of int
        Ascending indices; all of them if there are few enough.
    """
    assert points >= 4, points
    inner = len(values) - 2
    if inner + 2 <= points:
        return list(range(len(values)))
    buckets = (points - 2) // 2
    kept = [0]
    for bucket in range(buckets):
        start, end = (1 + inner * place // buckets for place in (bucket, bucket + 1))
        finite = [value for value in values[start:end] if math.isfinite(value)]
        extremes = {values.index(find(finite), start, end) for find in (min, max)} if finite else {start}
        kept += sorted(extremes)
    return [*kept, len(values) - 1]


def _place(item: tuple[tuple[str, str, int | None], Any]) -> tuple[int, str, int]:
    (stage, name, client_id), _ = item
    return STAGES.index(stage), name, -1 if client_id is None else client_id


def _curve(
    key: tuple[str, str, int | None], curve: dict[int, Point], *, by: str, points: int
) -> dict[str, Any]:
    steps = sorted(curve)
    stored = [curve[step][5] for step in steps]
    values = [math.nan if value is None else value for value in stored]
    kept = downsample(values, points=points)
    rows = [curve[steps[place]] for place in kept]
    stage, name, client_id = key
    return {
        "stage": stage,
        "name": name,
        "client_id": client_id,
        "unit": by,
        "x": [steps[place] for place in kept],
        "y": [values[place] if math.isfinite(values[place]) else None for place in kept],
        "num_examples": [row[6] for row in rows],
        "time": [milliseconds(row[7]) for row in rows],
        "total": len(steps),
        "sampled": len(kept) < len(steps),
    }
