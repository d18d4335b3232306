from __future__ import annotations

import numpy as np
import pytest

from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import Outputs
from simulations.gap.site_gains import gain, gains_on_test

TARGETS = np.array([0, 1] * 20)


def outputs(right: int) -> Outputs:
    """A model that is right in so many of 40 rows."""
    claimed = np.where(np.arange(40) < right, TARGETS, 1 - TARGETS)
    probabilities = np.full((40, 2), 0.2)
    probabilities[np.arange(40), claimed] = 0.8
    return Outputs(probabilities, TARGETS)


def gains(metric: str) -> list[dict[str, float | None]]:
    local = [[outputs(22), outputs(36)], [outputs(22), outputs(40)]]  # two seeds, two sites
    return gains_on_test(
        ClassificationMetrics(2),
        local,
        [outputs(32), outputs(32)],
        metric=metric,
        confidence=0.95,
        resamples=200,
        seed=0,
        groups=None,
    )


def test_a_site_with_a_poor_model_of_its_own_gains_and_one_with_a_good_one_loses() -> None:
    first, second = gains("accuracy")
    assert (first["alone"], first["federated"], first["gain"]) == pytest.approx((0.55, 0.8, 0.25))
    assert (second["alone"], second["federated"], second["gain"]) == pytest.approx((0.95, 0.8, -0.15))
    for row in (first, second):
        low, middle, high = (row[key] for key in ("low", "gain", "high"))
        assert low is not None
        assert high is not None
        assert middle is not None
        assert low <= middle <= high
    assert first["low"] is not None
    assert first["low"] > 0


def test_of_a_loss_less_is_a_gain() -> None:
    poor, good = gains("loss")
    assert poor["gain"] is not None
    assert good["gain"] is not None
    assert poor["gain"] == pytest.approx((poor["alone"] or 0) - (poor["federated"] or 0))
    assert poor["gain"] > 0 > good["gain"]
    assert (poor["low"] or 0) <= poor["gain"] <= (poor["high"] or 0)


@pytest.mark.parametrize(
    ("alone", "federated", "better", "expected"),
    [
        (0.5, 0.75, "higher", 0.25),
        (0.5, 0.75, "lower", -0.25),
        (None, 0.75, "higher", None),
        (0.5, 0.75, None, None),
    ],
)
def test_a_gain_needs_both_values_and_a_direction(alone, federated, better, expected) -> None:
    assert gain(alone, federated, better=better) == expected
