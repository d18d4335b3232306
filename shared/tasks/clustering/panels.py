"""What is drawn of clusters: what distinguishes each from the other rows, and rows on a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.tasks.panels import MOST_POINTS, Panel

Floats = npt.NDArray[np.float64]

MOST_INPUTS = 20  # of a profile, those that distinguish a cluster most


def cluster_profile_panel(
    rows: Floats, nearest: npt.NDArray[np.intp], *, names: Sequence[str], clusters: int
) -> Panel:
    """Size of each cluster, and by how many deviations its inputs differ from those of all other rows.

    Parameters
    ----------
    rows : ndarray [N, d], float64
        As the model takes them.
    nearest : ndarray [N], int
        The cluster of each.
    names : sequence of str, d
    """
    sizes = np.bincount(nearest, minlength=clusters)
    effects = np.array([effect_sizes(rows, nearest == place) for place in range(clusters)])
    largest = np.abs(np.nan_to_num(effects)).max(axis=0)
    shown = np.argsort(-largest, kind="stable")[:MOST_INPUTS]
    return Panel(
        "cluster_profile",
        "Cluster profiles",
        {
            "sizes": sizes.tolist(),
            "inputs": [names[place] for place in shown],
            "num_inputs": len(names),
            "effects": [[_number(own[place]) for place in shown] for own in effects],
        },
    )


def effect_sizes(rows: Floats, inside: npt.NDArray[np.bool_]) -> Floats:
    """Standardised mean differences of some rows from all others (Cohen 1988, 2.5.2).

    Parameters
    ----------
    rows : ndarray [N, d], float64
    inside : ndarray [N], bool

    Returns
    -------
    ndarray [d], float64
        Difference of the means by the deviation within both; 0 where nothing varies and the means agree, NaN
        where nothing varies within, or one side has no row.
    """
    one, other = rows[inside], rows[~inside]
    if not len(one) or not len(other):
        return np.full(rows.shape[1], np.nan)
    difference = one.mean(axis=0) - other.mean(axis=0)
    squares = np.square(one - one.mean(axis=0)).sum(axis=0) + np.square(other - other.mean(axis=0)).sum(axis=0)
    deviation = np.sqrt(squares / max(len(rows) - 2, 1))
    scale = np.abs(rows).max(axis=0, initial=0.0)
    constant = deviation <= 1e-12 * scale
    alike = np.abs(difference) <= 1e-12 * scale
    found = np.divide(difference, deviation, out=np.full(len(scale), np.nan), where=~constant)
    return np.where(constant & alike, 0.0, found)


def cluster_map_panel(rows: Floats, nearest: npt.NDArray[np.intp], *, clusters: int) -> Panel:
    """Rows on the plane of their two main components, `MOST_POINTS` at most, spread evenly over the clusters.

    Parameters
    ----------
    rows : ndarray [N, d], float64
    nearest : ndarray [N], int
    """
    places, explained = _on_plane(rows)
    order = np.argsort(nearest, kind="stable")
    kept = np.unique(np.linspace(0, len(order) - 1, min(len(order), MOST_POINTS)).round().astype(np.int64))
    shown = order[kept]
    data: dict[str, Any] = {
        "x": places[shown, 0].tolist(),
        "y": places[shown, 1].tolist(),
        "cluster": nearest[shown].tolist(),
        "clusters": clusters,
        "explained": explained,
        "num_examples": len(rows),
    }
    return Panel("cluster_map", "Cluster map", data)


def _on_plane(rows: Floats) -> tuple[Floats, list[float]]:
    """Places [N, 2] on the two main components, and the share of the variance of each."""
    centred = rows - rows.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(-variances)[:2]
    total = float(variances.sum()) or 1.0
    main = axes[:, order] * np.sign(axes[np.abs(axes[:, order]).argmax(axis=0), order])
    places = np.zeros((len(rows), 2))
    places[:, : main.shape[1]] = centred @ main
    shares = [max(float(variances[place]), 0.0) / total for place in order]
    return places, [*shares, 0.0][:2]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
