from __future__ import annotations

import numpy as np
import pytest

from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import Outputs
from simulations.gap.site_gains import gain, measure_models, site_values
from tests.gaps import compare_gap

TARGETS = np.array([0, 1] * 20)


def outputs(right: int) -> Outputs:
    """A model that is right in so many of 40 rows."""
    claimed = np.where(np.arange(40) < right, TARGETS, 1 - TARGETS)
    probabilities = np.full((40, 2), 0.2)
    probabilities[np.arange(40), claimed] = 0.8
    return Outputs(probabilities, TARGETS)


def values(metric: str, **right: tuple[int, int]) -> dict[str, float]:
    """Of models that are right in so many rows in each of two seeds."""
    judge = ClassificationMetrics(2)
    models = {name: [outputs(count) for count in counts] for name, counts in right.items()}
    measured = measure_models(judge, models, metric=metric, resamples=200, seed=0, groups=None)
    spec = next(own for own in judge.metrics if own.name == metric)
    found = site_values(measured, spec=spec, confidence=0.95)
    assert None not in found.values()
    return {name: value for name, value in found.items() if value is not None}


def test_a_site_gains_what_the_federated_model_is_better_by() -> None:
    found = values("accuracy", pooled=(40, 38), federated=(32, 32), alone=(22, 22), fine_tuned=(20, 22))
    shown = [found[name] for name in ("pooled", "federated", "alone", "fine_tuned", "gain", "tuned_gain")]
    assert shown == pytest.approx([0.975, 0.8, 0.55, 0.525, 0.25, -0.025])
    assert 0 < found["low"] < found["gain"] < found["high"]
    assert found["tuned_low"] < 0 < found["tuned_high"]
    assert found["groups"] == 40
    for name in ("pooled", "federated", "alone", "fine_tuned"):
        assert 0 <= found[f"{name}_low"] < found[name] < found[f"{name}_high"] <= 1


def test_the_intervals_are_those_of_a_gap() -> None:
    found = values("accuracy", federated=(32, 30), alone=(36, 39))
    rows = compare_gap([outputs(36), outputs(39)], [outputs(32), outputs(30)], resamples=200)
    row = next(row for row in rows if row.metric == "accuracy")
    assert [found["alone_low"], found["alone_high"]] == pytest.approx([row.pooled.low, row.pooled.high])
    ends = [found["gain"], found["low"], found["high"]]
    assert ends == pytest.approx([-row.gap.value, -row.gap.high, -row.gap.low])


def test_of_a_loss_less_is_a_gain() -> None:
    poor = values("loss", federated=(32, 32), alone=(22, 22))
    assert poor["gain"] == pytest.approx(poor["alone"] - poor["federated"])
    assert values("loss", federated=(32, 32), alone=(36, 40))["gain"] < 0 < poor["gain"]
    assert poor["low"] <= poor["gain"] <= poor["high"]


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
