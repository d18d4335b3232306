"""The curves of a run: metric values by round or epoch, downsampled to what a screen can show."""

from __future__ import annotations

import math
from typing import Any

from service.read.run_config import unit
from shared.tracking.rows import RunRow
from shared.tracking.store import Store

STAGES = ("train", "val", "test")
MOST_VALUES = 30_000  # of all clients' curves together, at least 4 each


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

    If a client trains several epochs in a round, the last one represents the round, as in the aggregate. The
    curves of a long run are made from its digests (see `shared.tracking.digests`).

    Parameters
    ----------
    points : int
        Most points of each curve, 4 or more; of the curves of many clients fewer.
    stage, name : str, optional
        Restrict to these.
    clients : bool
        Whether to include the curves of the clients.

    Returns
    -------
    dict
        See `service.api.chart_schemas.SeriesList`.
    """
    import numpy as np

    from shared.tracking.points import NONE, Points
    from shared.tracking.thinning import FEWEST, thin

    found = store.series.all_curves(run.id)
    keys, rows = found.points.keys, found.points.rows
    wanted = np.array([stage in (None, one) and name in (None, other) for one, other in keys], dtype=bool)
    if len(rows):
        rows = rows[wanted[rows["key"]] & (clients | (rows["client"] == NONE))]
    rows, lengths, totals = Points(keys, rows).curves()
    starts = np.cumsum(lengths) - lengths
    of_clients = rows["client"][starts] != NONE
    share = max(FEWEST, min(points, MOST_VALUES // max(1, int(of_clients.sum()))))
    kept = thin(rows["value"], lengths, points=np.where(of_clients, share, points))
    ends = np.searchsorted(kept, np.append(starts, len(rows)))
    rows = rows[kept]
    curves = []
    for start, end, total in zip(ends[:-1].tolist(), ends[1:].tolist(), totals.tolist(), strict=True):
        curve = rows[start:end]
        client = int(curve["client"][0])
        of_stage, metric = keys[curve["key"][0]]
        curves.append(
            {
                "stage": of_stage,
                "name": metric,
                "client_id": None if client == NONE else client,
                "unit": unit(run),
                "x": curve["step"].tolist(),
                "y": [one if math.isfinite(one) else None for one in curve["value"].tolist()],
                "num_examples": [None if one == NONE else one for one in curve["examples"].tolist()],
                "time": (curve["time"] / 1000).round().astype(np.int64).tolist(),
                "total": total,
                "sampled": end - start < total,
            }
        )
    return {"cursor": found.cursor, "series": sorted(curves, key=_place)}


def _place(curve: dict[str, Any]) -> tuple[int, str, int]:
    client_id = curve["client_id"]
    return STAGES.index(curve["stage"]), curve["name"], -1 if client_id is None else client_id
