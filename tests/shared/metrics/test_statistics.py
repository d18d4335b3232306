"""Statistics of clients: their sum is that of all rows, and their bytes are few and read with suspicion."""

from __future__ import annotations

import zlib
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from shared.metrics.binned_ranking import BINS, EDGES, auroc_error, bin_scores, binned_areas, in_thousandths
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import Outputs
from shared.metrics.statistics import Layout, Statistics
from tests.fuzzing import draws

EXACT = ("accuracy", "loss", "f1", "precision", "recall", "calibration_error")


def outputs_of(classes: int, *, rows: int = 400, skill: float = 2.0, seed: int = 0) -> Outputs:
    rng = np.random.default_rng(seed)
    targets = rng.integers(classes, size=rows)
    logits = rng.normal(size=(rows, classes))
    logits[np.arange(rows), targets] += skill
    odds = np.exp(logits)
    return Outputs((odds / odds.sum(axis=1, keepdims=True)).astype(np.float32), targets)


def clients_of(outputs: Outputs) -> list[Outputs]:
    """A client a class, so that each lacks all others, and one with some of all."""
    mixed = np.arange(len(outputs)) % 3 == 0
    masks = [mixed, *(~mixed & (outputs.targets == k) for k in range(outputs.num_classes))]
    return [Outputs(outputs.predictions[mask], outputs.targets[mask]) for mask in masks]


@pytest.mark.parametrize("absent", [(1,), (0, 3)])
def test_a_class_that_no_client_has_is_left_out_of_the_means(absent: tuple[int, ...]) -> None:
    judge, outputs = ClassificationMetrics(4), outputs_of(4, skill=1.0)
    kept = ~np.isin(outputs.targets, absent)
    outputs = Outputs(outputs.predictions[kept], outputs.targets[kept])
    present = [k for k in range(4) if k not in absent]
    predicted = judge.predicted(outputs)
    assert set(absent) <= set(predicted.tolist()), "it is predicted, which makes others wrong"
    summed = reduce(add, [judge.statistics(client) for client in clients_of(outputs) if len(client)])
    precision, recall, f1, _ = precision_recall_fscore_support(
        outputs.targets, predicted, labels=present, average="macro", zero_division=0
    )
    for values in (judge.pooled(summed), judge.values(outputs)):
        told = [values[name] for name in ("precision", "recall", "f1")]
        assert told == pytest.approx([precision, recall, f1])
    areas = [roc_auc_score(outputs.targets == k, outputs.predictions[:, k]) for k in present]
    assert judge.values(outputs)["auroc"] == pytest.approx(np.mean(areas))
    assert judge.pooled(summed)["auroc"] == pytest.approx(np.mean(areas), abs=2e-3)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("skill", [0.0, 2.0, 9.0])
def test_metrics_of_the_sum_are_those_of_all_rows(classes: int, skill: float) -> None:
    judge, outputs = ClassificationMetrics(classes), outputs_of(classes, skill=skill)
    summed = reduce(add, [judge.statistics(client) for client in clients_of(outputs)])
    judge.check(summed, rows=len(outputs))
    pooled, exact = judge.pooled(summed), judge.values(outputs)
    assert list(pooled) == list(exact)
    for name in EXACT:
        assert pooled[name] == pytest.approx(exact[name], abs=1e-12), name
    bound = max(auroc_error(counts) for counts in summed["ranking"])
    assert abs(pooled["auroc"] - exact["auroc"]) <= bound + 1e-12
    assert bound < 0.006
    assert pooled["average_precision"] == pytest.approx(exact["average_precision"], abs=0.003)


def test_a_class_that_no_client_has_is_left_out() -> None:
    judge, outputs = ClassificationMetrics(4), outputs_of(4)
    rows = outputs.targets != 2
    outputs = Outputs(outputs.predictions[rows], outputs.targets[rows])
    pooled, exact = judge.pooled(judge.statistics(outputs)), judge.values(outputs)
    assert {name: pooled[name] for name in EXACT} == pytest.approx(
        {name: exact[name] for name in EXACT}, abs=1e-12
    )
    one = Outputs(outputs.predictions[:3], np.zeros(3, dtype=np.int64))
    assert judge.pooled(judge.statistics(one)).keys() == judge.values(one).keys()


# --- bins -----------------------------------------------------------------------------------------


def test_the_bins_by_hand() -> None:
    assert (np.diff(EDGES) > 0).all()
    assert (EDGES[0], EDGES[-1], len(EDGES)) == (0, 1, BINS + 1)
    scores = np.array([0.0, 0.0005, 0.25, 0.2501, 1.0], dtype=np.float32)
    merged = in_thousandths(bin_scores(scores, np.array([False, True, True, False, True])))
    assert merged.shape == (2, 1000)
    assert {(label, place): merged[label, place] for label, place in np.argwhere(merged)} == {
        (0, 0): 1,
        (1, 0): 1,
        (1, 249): 1,  # a quarter is not above the threshold of a quarter
        (0, 250): 1,
        (1, 999): 1,
    }


def test_rows_of_one_bin_count_as_equal() -> None:
    counts = bin_scores(np.array([0.5001, 0.5002]), np.array([True, False]))
    assert binned_areas(counts) == (0.5, 0.5)
    assert auroc_error(counts) == 0.5
    assert np.isnan(binned_areas(np.zeros((2, BINS), dtype=np.int64))).all()


@settings(max_examples=draws(60))
@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=2, max_size=40))
def test_the_error_of_the_bins_holds(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=np.float32)
    positive = np.array([label for _, label in rows])
    if not 0 < positive.sum() < len(positive):
        return
    counts = bin_scores(scores, positive)
    won = (scores[positive][:, None] > scores[~positive]) + (scores[positive][:, None] == scores[~positive]) / 2
    area, average_precision = binned_areas(counts)
    assert abs(area - won.mean()) <= auroc_error(counts) + 1e-12
    exact = ClassificationMetrics(2).values(
        Outputs(np.stack([1 - scores, scores], axis=1), positive.astype(int))
    )
    for value in (average_precision, exact["average_precision"]):
        least, most = _average_precisions(counts)
        assert least - 1e-12 <= value <= most + 1e-12


def _average_precisions(counts: NDArray[np.int64]) -> tuple[float, float]:
    """The least and the most that any order within the bins gives: negatives first, or tied positives first."""
    correct = claimed = 0
    least = most = 0.0
    for negatives, positives in counts[:, ::-1].T:
        if positives:
            below = claimed + negatives
            least += sum((correct + place) / (below + place) for place in range(1, positives + 1))
            most += positives * (correct + positives) / (claimed + positives)
        correct, claimed = correct + positives, claimed + positives + negatives
    return least / correct, most / correct


# --- bytes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "most"), [(2, 300), (10, 800)])
def test_a_client_of_50_rows_sends_a_few_hundred_bytes(classes: int, most: int) -> None:
    judge, outputs = ClassificationMetrics(classes), outputs_of(classes, rows=50)
    packed = judge.statistics(outputs).to_bytes()
    assert sum(map(len, packed.values())) < most
    again = Statistics.from_bytes(packed, layout=judge.layout)
    judge.check(again, rows=50)
    for name, array in judge.statistics(outputs).arrays.items():
        np.testing.assert_array_equal(again[name], array)


def test_large_counts_and_none_at_all() -> None:
    layout = {"counts": Layout((3, 5), counts=True)}
    for array in (np.zeros((3, 5), dtype=np.int64), np.arange(15).reshape(3, 5) * 10**8):
        packed = Statistics({"counts": array}).to_bytes()
        np.testing.assert_array_equal(Statistics.from_bytes(packed, layout=layout)["counts"], array)


COUNTS, SUMS = {"a": Layout((4,), counts=True)}, {"a": Layout((2,), counts=False)}


def planes(*columns: list[int]) -> bytes:
    array = np.array(columns, dtype="<u4")
    return array.view(np.uint8).reshape(2, -1, 4).transpose(0, 2, 1).tobytes()


@pytest.mark.parametrize(
    ("layout", "packed", "reason"),
    [
        (COUNTS, {"b": b""}, "expected the statistics"),
        (COUNTS, {"a": b"not deflated"}, "a cannot be read"),
        (COUNTS, {"a": zlib.compress(b"123")}, "a does not hold 4 counts"),
        (COUNTS, {"a": zlib.compress(bytes(10**6))}, "a does not hold 4 counts"),
        (COUNTS, {"a": zlib.compress(bytes(8))[:-1]}, "a does not hold 4 counts"),
        (COUNTS, {"a": zlib.compress(bytes(8)) + b"more"}, "a does not hold 4 counts"),
        (COUNTS, {"a": zlib.compress(planes([4], [1]))}, "beyond its 4 cells"),
        (COUNTS, {"a": zlib.compress(planes([2**32 - 1], [1]))}, "beyond its 4 cells"),
        (SUMS, {"a": bytes(15)}, "a has 15 bytes, expected 16"),
        (SUMS, {"a": np.array([1.0, np.nan]).tobytes()}, "not finite"),
        (SUMS, {"a": np.array([1.0, np.inf]).tobytes()}, "not finite"),
    ],
)
def test_bytes_that_do_not_fit(layout: dict[str, Layout], packed: dict[str, bytes], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Statistics.from_bytes(packed, layout=layout)


def changed(**arrays: Any) -> Statistics:
    judge = ClassificationMetrics(2)
    known = judge.statistics(outputs_of(2, rows=20))
    return Statistics({**known.arrays, **arrays})


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"confusion": np.array([[9, 0], [0, 10]])}, "confusion adds up to 19, expected 20"),
        ({"ranking": np.zeros((1, 2, BINS), dtype=np.int64)}, "ranking adds up to"),
        ({"loss": np.array([-0.1])}, "loss is -0.1"),
        ({"loss": np.array([1e6])}, "loss is 1e"),
        ({"calibration": np.full(16, -21.0)}, "calibration has a bin beyond 20"),
        ({"calibration": np.full(16, 1e308)}, "calibration has a bin beyond 20"),
    ],
)
def test_statistics_that_rows_cannot_have(arrays: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ClassificationMetrics(2).check(changed(**arrays), rows=20)
