"""Metrics of alarms, beside scikit-learn's and arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, roc_auc_score

from shared.metrics.anomaly import AnomalyMetrics
from shared.metrics.outputs import Outputs
from shared.metrics.statistics import Statistics

METRICS = AnomalyMetrics()


def outputs(ratios: list[float] | np.ndarray, targets: list[int] | np.ndarray) -> Outputs:
    ratios = np.asarray(ratios, dtype=np.float64)
    return Outputs(np.stack([ratios, 2 * ratios], axis=1), np.asarray(targets, dtype=np.float64))


def test_they_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 300)
    ratios = np.exp(rng.normal(targets, 1.0)).round(2)  # with ties
    found, alarms = METRICS.values(outputs(ratios, targets)), ratios > 1
    (quiet, false), (missed, hits) = confusion_matrix(targets, alarms)
    expected = {
        "f1": f1_score(targets, alarms),
        "false_alarm_rate": false / (false + quiet),
        "missed_alarm_rate": missed / (missed + hits),
        "auroc": roc_auc_score(targets, ratios),
        "average_precision": average_precision_score(targets, ratios),
        "loss": 2 * ratios[targets == 0].mean(),
    }
    assert found == pytest.approx(expected)
    assert METRICS.pooled(METRICS.statistics(outputs(ratios, targets))) == pytest.approx(expected, abs=2e-3)


def test_a_ratio_of_one_is_no_alarm() -> None:
    assert METRICS.values(outputs([1.0, 1.0000001], [1, 1]))["missed_alarm_rate"] == 0.5


@pytest.mark.parametrize(
    ("targets", "there"),
    [
        ([0, 0], {"false_alarm_rate": 0.5, "loss": 2.0}),
        ([1, 1], {"f1": 2 / 3, "missed_alarm_rate": 0.5, "average_precision": 1.0}),
    ],
)
def test_rows_of_one_kind_leave_some_undefined(targets: list[int], there: dict[str, float]) -> None:
    own = outputs([0.5, 1.5], targets)
    assert METRICS.values(own) == pytest.approx(there)
    assert METRICS.pooled(METRICS.statistics(own)) == pytest.approx(there)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": np.array([[2, 0], [0, 1]])}, "counts add up to 3, expected 4"),
        ({"counts": np.array([[3, 0], [0, 1]])}, "which does not fit counts"),
        ({"loss": np.array([-1.0])}, "loss is -1"),
    ],
)
def test_statistics_that_cannot_be(change: dict[str, np.ndarray], message: str) -> None:
    told = METRICS.statistics(outputs([0.5, 2, 0.5, 2], [0, 0, 1, 1]))
    METRICS.check(told, rows=4)
    with pytest.raises(ValueError, match=message):
        METRICS.check(Statistics({**told.arrays, **change}), rows=4)
