"""The threshold of two classes, by hand and against every other threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.metrics.binned_ranking import in_thousandths
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import Outputs
from shared.metrics.thresholds import best_threshold
from tests.fuzzing import draws


def threshold_counts(outputs: Outputs) -> NDArray[np.int64]:
    return in_thousandths(ClassificationMetrics(2).statistics(outputs)["ranking"][0])


def binary(probabilities: list[float], labels: list[int]) -> Outputs:
    ones = np.array(probabilities, dtype=np.float32)
    return Outputs(np.stack([1 - ones, ones], axis=1), np.array(labels))


def test_threshold_counts_by_hand() -> None:
    counts = threshold_counts(binary([0.0, 0.0005, 0.25, 0.2501, 1.0], [0, 1, 1, 0, 1]))
    assert counts.shape == (2, 1000)
    assert {(label, column): counts[label, column] for label, column in np.argwhere(counts)} == {
        (0, 0): 1,
        (1, 0): 1,
        (1, 249): 1,  # a quarter is not above the threshold of a quarter
        (0, 250): 1,
        (1, 999): 1,
    }


def test_best_threshold_by_hand() -> None:
    # All right between 0.4 and 0.6, so the middle.
    assert best_threshold(threshold_counts(binary([0.1, 0.4, 0.6, 0.9], [0, 0, 1, 1]))) == pytest.approx(
        0.4995, abs=6e-4
    )
    # One of four is wrong anyway; best is above 0.2 and below 0.3.
    assert 0.2 <= best_threshold(threshold_counts(binary([0.1, 0.2, 0.3, 0.25], [0, 0, 1, 1]))) < 0.25


def test_ties_take_the_range_nearest_to_a_half() -> None:
    # 0.1 | 1, 0.45 | 0, 0.8 | 1: right twice for thresholds in (0, 0.1), and in (0.45, 0.8).
    outputs = binary([0.1, 0.45, 0.8], [1, 0, 1])
    assert best_threshold(threshold_counts(outputs)) == pytest.approx((0.45 + 0.8) / 2, abs=2e-3)
    # The other way round: (0.2, 0.55) is nearer than (0.9, 1).
    mirrored = binary([0.2, 0.55, 0.9], [0, 1, 0])
    assert best_threshold(threshold_counts(mirrored)) == pytest.approx((0.2 + 0.55) / 2, abs=2e-3)


def test_counts_of_several_clients_add_up() -> None:
    parts = [binary([0.1, 0.4], [0, 0]), binary([0.6, 0.9], [1, 1])]
    whole = binary([0.1, 0.4, 0.6, 0.9], [0, 0, 1, 1])
    np.testing.assert_array_equal(sum(map(threshold_counts, parts)), threshold_counts(whole))


def test_no_rows_leave_the_threshold_at_a_half() -> None:
    assert best_threshold(np.zeros((2, 1000), dtype=np.int64)) == 0.5


@settings(max_examples=draws(40))
@given(st.lists(st.tuples(st.integers(0, 2000), st.booleans()), min_size=1, max_size=20))
def test_no_other_threshold_is_better(rows: list[tuple[int, bool]]) -> None:
    # Half of the probabilities are multiples of a thousandth, where a threshold may be.
    outputs = binary([number / 2000 for number, _ in rows], [int(label) for _, label in rows])
    chosen = best_threshold(threshold_counts(outputs))
    thresholds = (np.arange(1, 1000) / 1000).astype(np.float32)
    right = ((outputs.predictions[:, 1, None] > thresholds) == outputs.targets[:, None]).sum(axis=0)
    judge = ClassificationMetrics(2)
    counted = int(np.trace(judge.confusion(outputs.at(chosen))))
    assert counted >= right.max()
    values = judge.values(outputs.at(chosen))
    assert values["accuracy"] == pytest.approx(counted / len(rows))
