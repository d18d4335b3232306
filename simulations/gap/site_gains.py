"""`site_gains`: what each site gains by federation, against a model that it trains alone on its own rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.metrics.judge import Judge
from shared.metrics.outputs import Outputs
from simulations.gap.jackknife import compare_gap

MOST_RESAMPLES = 500  # for each site: an interval of a table of many needs no third digit


@dataclass(frozen=True)
class SiteGain:
    """One site, in one metric; all values are means over the seeds, None where they are not known.

    Attributes
    ----------
    num_examples : int
        Training rows.
    alone, federated : float or None
        On the common test set: the model that the site trained alone, and the federated one.
    gain, low, high : float or None
        Their difference with the ends of its interval, turned so that positive is better for the site.
    own_alone, own_federated, own_gain : float or None
        The same on the validation rows of the site itself, as it reported them; these have no interval.
    """

    client_id: int
    name: str
    num_examples: int
    alone: float | None
    federated: float | None
    gain: float | None
    low: float | None
    high: float | None
    own_alone: float | None = None
    own_federated: float | None = None
    own_gain: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row in JSON's types."""
        return asdict(self)


def gains_on_test(
    judge: Judge,
    local: Sequence[Sequence[Outputs]],
    federated: Sequence[Outputs],
    *,
    metric: str,
    confidence: float,
    resamples: int,
    seed: int,
    groups: NDArray[np.int64] | None,
) -> list[dict[str, float | None]]:
    """Compare each site's own model with the federated one on the common test set, in pairs by seed.

    Parameters
    ----------
    local : sequence of sequence of Outputs
        For each seed, of each site that trained alone.
    federated : sequence of Outputs
        One a seed.
    metric : str
        Of the judge; one without a better direction has differences, but no gains.

    Returns
    -------
    list of dict
        By site: ``alone``, ``federated``, ``gain``, ``low`` and ``high`` of `SiteGain`.
    """
    found = []
    for models in zip(*local, strict=True):
        rows = compare_gap(
            judge,
            models,
            federated,
            confidence=confidence,
            resamples=min(resamples, MOST_RESAMPLES),
            seed=seed,
            groups=groups,
        )
        row = next(row for row in rows if row.metric == metric)
        alone, together = row.pooled.value, row.federated.value
        sign = direction(row.better)
        ends = sorted(sign * end for end in (row.gap.low, row.gap.high))
        found.append(
            {
                "alone": known(alone),
                "federated": known(together),
                "gain": known(sign * (alone - together)),
                "low": known(ends[0]),
                "high": known(ends[1]),
            }
        )
    return found


def gain(alone: float | None, federated: float | None, *, better: str | None) -> float | None:
    """How much better the federated value is; None where one of them, or the better direction, is not known."""
    if alone is None or federated is None:
        return None
    return known(direction(better) * (alone - federated))


def direction(better: str | None) -> float:
    """What turns "alone minus federated" into a gain."""
    return {"higher": -1.0, "lower": 1.0}.get(better or "", math.nan)


def known(value: float) -> float | None:
    """The value, or None for one that is not finite."""
    return float(value) if math.isfinite(value) else None
