"""`RowMeans`: means over rows, under weights and from sums, against numbers that are known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shared.metrics.outputs import Outputs
from shared.metrics.row_means import RowMeans
from shared.metrics.spec import MetricSpec
from shared.metrics.statistics import Statistics


class Distances(RowMeans):
    """How far predictions are from the targets, and whether it is less than 2."""

    metrics = (
        MetricSpec("distance", "distance", "lower", (0.0, math.inf)),
        MetricSpec("near", "near", "higher", (0.0, 1.0)),
    )

    def of_rows(self, outputs):
        distance = np.abs(outputs.predictions - outputs.targets)
        return {"near": (distance < 2).astype(float), "distance": distance, "more": distance}


JUDGE = Distances()
OUTPUTS = Outputs(np.array([1.0, 2.0, 6.0, 4.0]), np.array([1.0, 3.0, 3.0, 0.0]))  # 0, 1, 3 and 4 away


def test_means_in_the_order_of_the_metrics() -> None:
    assert list(JUDGE.values(OUTPUTS).items()) == [("distance", 2.0), ("near", 0.5)]
    twice = JUDGE.score(OUTPUTS, np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 3.0, 1.0, 0.0]]))
    assert {name: values.tolist() for name, values in twice.items()} == {
        "distance": [2.0, 1.5],
        "near": [0.5, 0.75],
    }


def test_a_prediction_that_is_no_number_makes_all_undefined() -> None:
    broken = Outputs(np.array([math.nan, 1.0]), np.array([1.0, 1.0]))
    assert JUDGE.values(broken) == {}
    assert np.isnan(JUDGE.score(broken, np.ones((3, 2)))["near"]).tolist() == [True] * 3


def test_sums_of_clients_are_the_means_of_all_rows() -> None:
    parts = [Outputs(OUTPUTS.predictions[rows], OUTPUTS.targets[rows]) for rows in (slice(0, 1), slice(1, 4))]
    first, second = (
        Statistics.from_bytes(JUDGE.statistics(part).to_bytes(), layout=JUDGE.layout) for part in parts
    )
    JUDGE.check(second, rows=3)
    assert JUDGE.pooled(first + second) == JUDGE.values(OUTPUTS)


@pytest.mark.parametrize(
    ("rows", "sums", "says"),
    [
        (3, [1.0, 1.0], "rows is 3, expected 2"),
        (2, [-0.5, 1.0], "the sum of distance is -0.5, which 2 rows cannot have"),
        (2, [9.0, 2.5], "the sum of near is 2.5"),
    ],
)
def test_sums_that_cannot_be_are_rejected(rows: int, sums: list[float], says: str) -> None:
    told = Statistics({"rows": np.array([rows]), "sums": np.array(sums)})
    with pytest.raises(ValueError, match=says):
        JUDGE.check(told, rows=2)
