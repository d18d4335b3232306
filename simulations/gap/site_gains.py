"""`SiteGain`: what a federation brings one site, beside the other models that it could have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.metrics.judge import Judge
from shared.metrics.outputs import Outputs
from shared.metrics.spec import MetricSpec
from simulations.gap.jackknife import measure
from simulations.gap.student import Measured, gap_interval, level_interval

MOST_RESAMPLES = 500  # for each site: an interval of a table of many needs no third digit
FEWEST_GROUPS = 6  # fewer that agree are no verdict, see `simulations.gap.student`


@dataclass(frozen=True)
class SiteGain:
    """One site, in one metric; all values are means over the seeds, None where they are not known.

    Attributes
    ----------
    num_examples : int
        Training rows.
    alone, federated : float or None
        On the test rows: the model that the site trained alone, and the federated one.
    gain, low, high : float or None
        Their difference with the ends of its interval, turned so that positive is better for the site.
    own_alone, own_federated, own_gain : float or None
        The same on the validation rows of the site itself, as it reported them; these have no interval.
    pooled, fine_tuned : float or None
        On the test rows: the pooled model, and the federated one after it was trained on at the site.
    pooled_low, ... : float or None
        Ends of the interval of each.
    tuned_gain, tuned_low, tuned_high : float or None
        As ``gain``, of the fine-tuned model.
    num_test, groups : int or None
        Test rows behind the values, and independent groups among them.
    note : str or None
        Why there is no value.
    """

    client_id: int
    name: str
    num_examples: int
    alone: float | None = None
    federated: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    own_alone: float | None = None
    own_federated: float | None = None
    own_gain: float | None = None
    pooled: float | None = None
    fine_tuned: float | None = None
    pooled_low: float | None = None
    pooled_high: float | None = None
    federated_low: float | None = None
    federated_high: float | None = None
    alone_low: float | None = None
    alone_high: float | None = None
    fine_tuned_low: float | None = None
    fine_tuned_high: float | None = None
    tuned_gain: float | None = None
    tuned_low: float | None = None
    tuned_high: float | None = None
    num_test: int | None = None
    groups: int | None = None
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row in JSON's types."""
        return asdict(self)


Values = dict[str, float | None]


def measure_models(
    judge: Judge,
    models: Mapping[str, Sequence[Outputs]],
    *,
    metric: str,
    resamples: int,
    seed: int,
    groups: NDArray[np.int64] | None,
    span: int = 1,
) -> dict[str, Measured]:
    """Measure models on the same test rows, so that they can be compared in pairs.

    Parameters
    ----------
    models : mapping of str to sequence of Outputs
        By name; one a seed.
    metric : str
        Of the judge.
    groups, span
        See `simulations.gap.jackknife.compare_gap`.
    """
    return {
        name: measure(
            judge,
            [[one] for one in outputs],
            resamples=min(resamples, MOST_RESAMPLES),
            seed=seed,
            groups=groups,
            span=span,
        )[metric]
        for name, outputs in models.items()
    }


def site_values(measured: Mapping[str, Measured], *, spec: MetricSpec, confidence: float) -> Values:
    """The values of one site's models, and what they gain against the one that it trained alone.

    Parameters
    ----------
    measured : mapping of str to Measured
        ``alone``, ``federated`` and others that `SiteGain` has.
    spec : MetricSpec
        Of the metric; one without a better direction has differences, but no gains.

    Returns
    -------
    dict
        Fields of `SiteGain`.
    """
    found: Values = {"groups": measured["alone"].groups}
    for name, own in measured.items():
        level = level_interval(own, confidence=confidence, bounds=spec.bounds)
        found |= {name: known(level.value), f"{name}_low": known(level.low), f"{name}_high": known(level.high)}
    sign = direction(spec.better)
    for name, gain_name, end in (("federated", "gain", ""), ("fine_tuned", "tuned_gain", "tuned_")):
        if name not in measured:
            continue
        gap = gap_interval(measured["alone"] - measured[name], confidence=confidence, bounds=spec.bounds)
        low, high = sorted(sign * end for end in (gap.low, gap.high))
        found |= {gain_name: known(sign * gap.value), f"{end}low": known(low), f"{end}high": known(high)}
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
