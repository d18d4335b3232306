"""`rank_cells`: average ranks of the cells of a sweep over its seeds, and which differences are beyond chance.

Friedman's test, and Nemenyi's critical difference of average ranks (Demsar 2006, Statistical Comparisons of
Classifiers over Multiple Data Sets, JMLR 7:1-30), from scipy's distributions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranks:
    """Ranks of k cells over n blocks (seeds).

    Attributes
    ----------
    average : dict of tuple to float
        By cell; 1 is the best.
    p_value : float
        Of Friedman's test that all cells are alike; NaN of two cells, for which it is not defined.
    critical : float
        Two cells whose average ranks differ by less cannot be told apart at the 5 % level (Nemenyi).
    """

    average: dict[tuple[str, ...], float]
    blocks: int
    p_value: float
    critical: float


def rank_cells(
    values: Mapping[tuple[str, ...], Mapping[int, float]], *, higher_is_better: bool, alpha: float = 0.05
) -> Ranks | None:
    """Rank cells on the seeds that all of them have.

    Parameters
    ----------
    values : mapping of tuple to mapping of int to float
        By cell and seed.

    Returns
    -------
    Ranks or None
        None where there are fewer than two cells or two common seeds.
    """
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    cells = [cell for cell in values if values[cell]]
    if len(cells) < 2:
        return None
    seeds = sorted(set.intersection(*(set(values[cell]) for cell in cells)))
    table = np.array([[values[cell][seed] for cell in cells] for seed in seeds], dtype=np.float64)
    if len(seeds) < 2 or not np.isfinite(table).all():
        return None
    ranks = rankdata(-table if higher_is_better else table, axis=1)
    k, n = len(cells), len(seeds)
    alike = bool((table == table[:, :1]).all())
    p_value = float(friedmanchisquare(*table.T).pvalue) if k > 2 and not alike else math.nan
    quantile = float(studentized_range.ppf(1 - alpha, k, np.inf)) / math.sqrt(2)
    critical = quantile * math.sqrt(k * (k + 1) / (6 * n))
    average = dict(zip(cells, ranks.mean(axis=0).tolist(), strict=True))
    return Ranks(dict(sorted(average.items(), key=lambda one: one[1])), n, p_value, critical)


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points that no other beats: high first numbers are better, and low second ones."""
    order = sorted(range(len(points)), key=lambda one: (points[one][1], -points[one][0]))
    kept, highest = [], -math.inf
    for place in order:
        if points[place][0] > highest:
            kept.append(place)
            highest = points[place][0]
    return kept
