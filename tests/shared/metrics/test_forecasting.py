"""Metrics of forecasts, against numbers known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from shared.metrics.forecasting import ForecastMetrics, by_step
from shared.metrics.outputs import Outputs
from shared.metrics.statistics import Statistics

# Two windows of two steps: true, the last season, the last value, the change over a season, the unit.
TARGETS = np.array([[1, 3, 2, 2, 4, 2, 1], [0, 4, 1, 2, 2, np.nan, 2]], dtype=np.float32)
OUTPUTS = Outputs(np.array([[2, 2], [0, 8]], dtype=np.float32), TARGETS)


def test_by_hand() -> None:
    found = ForecastMetrics(horizon=2, loss="absolute").values(OUTPUTS)
    assert found == pytest.approx(
        {
            "mae": (1 + 1 + 0 + 4) / 4,
            "rmse": ((1 + 1 + 0 + 16) / 4) ** 0.5,
            "mase": 1 / 2,  # of the first window alone: the other's series has no scale
            "smape": (2 / 3 + 2 / 5 + 0 + 8 / 12) / 4,
            "mape": (1 + 1 / 3 + 1) / 3,  # the true 0 does not count
            "r2": 1 - 18 / 10,
            "loss": (1 + 1 + 0 + 2) / 4,  # in units
            "seasonal_mae": (1 + 1 + 1 + 2) / 4,
            "persistence_mae": (3 + 1 + 2 + 2) / 4,
        }
    )
    assert ForecastMetrics(horizon=2, loss="squared").values(OUTPUTS)["loss"] == (1 + 1 + 0 + 4) / 4


def test_by_step() -> None:
    found = by_step(OUTPUTS, horizon=2)
    assert {name: values.tolist() for name, values in found.items()} == {
        "model": [0.5, 2.5],
        "seasonal": [1.0, 1.5],
        "persistence": [2.5, 1.5],
    }


WRONG = {
    "negative": (0, -1.0, "sum of absolute is -1"),
    "errors": (0, 1e3, "absolute and squared errors contradict"),
    "values": (2, 1e3, "true values and of their squares contradict"),
    "steps": (6, 5.0, "sum of mape_steps is 5, which 2 rows cannot have"),
    "rows": (8, 3.0, "sum of mase_rows is 3"),
}


@pytest.mark.parametrize(("place", "value", "told"), WRONG.values(), ids=WRONG)
def test_sums_that_cannot_be_are_rejected(place: int, value: float, told: str) -> None:
    metrics = ForecastMetrics(horizon=2, loss="absolute")
    statistics = metrics.statistics(OUTPUTS)
    metrics.check(statistics, rows=2)
    sums = statistics["sums"].copy()
    sums[place] = value
    with pytest.raises(ValueError, match=told):
        metrics.check(Statistics({**statistics.arrays, "sums": sums}), rows=2)
