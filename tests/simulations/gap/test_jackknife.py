from __future__ import annotations

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest

from benchmarks.coverage import Setting, draw, rows_before, rows_now
from shared.metrics.catalogue import CLASSIFICATION
from shared.metrics.gap import GapRow, Interval
from shared.metrics.outputs import Outputs
from simulations.gap.clients import per_client_summary
from tests.gaps import compare_gap


def random_outputs(
    *, num_examples: int = 300, classes: int = 2, skill: float = 1.0, seed: int = 0, ties: bool = False
) -> Outputs:
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(99).integers(classes, size=num_examples)
    logits = rng.normal(size=(num_examples, classes))
    logits[np.arange(num_examples), labels] += skill
    if ties:
        logits = np.round(logits)
    odds = np.exp(logits)
    return Outputs(odds / odds.sum(axis=1, keepdims=True), labels)


def binary(positive: list[float], labels: list[int], threshold: float = 0.5) -> Outputs:
    p = np.array(positive)
    return Outputs(np.stack([1 - p, p], axis=1), np.array(labels), threshold)


def by_name(rows: list[GapRow]) -> dict[str, GapRow]:
    return {row.metric: row for row in rows}


# --- gap ------------------------------------------------------------------------------------------


def test_identical_predictions_have_no_gap_at_all() -> None:
    outputs = random_outputs(classes=3)
    rows = compare_gap([outputs, outputs], [outputs, outputs], resamples=300)
    assert [row.metric for row in rows] == [spec.name for spec in CLASSIFICATION]
    for row in rows:
        assert row.gap == Interval(0.0, 0.0, 0.0)
        assert row.verdict == "equal"
        assert row.pooled == row.federated


def test_same_seed_same_intervals_and_other_seed_others() -> None:
    pooled, federated = [random_outputs(seed=1)], [random_outputs(seed=2, skill=0.8)]
    first = compare_gap(pooled, federated, resamples=200, seed=3)
    assert first == compare_gap(pooled, federated, resamples=200, seed=3)
    assert first != compare_gap(pooled, federated, resamples=200, seed=4)


def test_gap_is_pooled_minus_federated_and_knows_the_better_direction() -> None:
    good, poor = random_outputs(skill=4.0, seed=1), random_outputs(skill=0.5, seed=2)
    for row in compare_gap([good], [poor], resamples=200):
        assert row.gap.value == pytest.approx(row.pooled.value - row.federated.value)
        assert row.gap.low <= row.gap.value <= row.gap.high
    rows = by_name(compare_gap([good], [poor], resamples=200))
    assert rows["accuracy"].verdict == rows["loss"].verdict == "worse"
    assert rows["accuracy"].gap.value > 0 > rows["loss"].gap.value
    rows = by_name(compare_gap([poor], [good], resamples=200))
    assert rows["accuracy"].verdict == rows["loss"].verdict == "better"


def test_interval_of_accuracy_is_near_the_normal_approximation() -> None:
    outputs = binary([0.9] * 320 + [0.1] * 80, [1] * 400)  # accuracy 0.8 of 400: standard error 0.02
    row = by_name(compare_gap([outputs], [outputs], resamples=4000))["accuracy"]
    assert row.pooled.value == pytest.approx(0.8)
    assert row.pooled.low == pytest.approx(0.8 - 1.96 * 0.02, abs=0.004)
    assert row.pooled.high == pytest.approx(0.8 + 1.96 * 0.02, abs=0.004)


def test_pairs_make_the_gap_surer_than_two_separate_intervals() -> None:
    labels = [1] * 400
    pooled, federated = binary([0.9] * 300 + [0.1] * 100, labels), binary([0.9] * 296 + [0.1] * 104, labels)
    row = by_name(compare_gap([pooled], [federated], resamples=2000))["accuracy"]
    assert row.gap.high - row.gap.low == pytest.approx(2 * 1.96 * math.sqrt(0.01 * 0.99 / 400), abs=0.004)
    assert row.pooled.high - row.pooled.low > 3 * (row.gap.high - row.gap.low)


def test_whole_groups_are_drawn() -> None:
    outputs = binary(([0.9] * 4 + [0.1] * 4) * 50, [1] * 400)
    groups = np.repeat(np.arange(100), 4)  # 100 patients, each all right or all wrong
    alone = by_name(compare_gap([outputs], [outputs], resamples=2000))["accuracy"].pooled
    grouped = by_name(compare_gap([outputs], [outputs], resamples=2000, groups=groups))["accuracy"].pooled
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 400), abs=0.01)
    assert grouped.high - grouped.low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 100), abs=0.025)


def test_seeds_that_differ_widen_the_gap() -> None:
    labels = [1] * 500
    accuracies = [0.70, 0.74, 0.78, 0.82]
    pooled = [binary([0.9] * 500, labels)] * 4
    federated = [binary([0.9] * round(500 * a) + [0.1] * round(500 * (1 - a)), labels) for a in accuracies]
    row = by_name(compare_gap(pooled, federated, resamples=2000))["accuracy"]
    assert row.gap.value == pytest.approx(1 - 0.76)
    # the variance of the mean of 4 seeds, with 3 degrees of freedom, and that of 500 rows
    of_seeds, of_rows = (
        np.var(accuracies, ddof=1) / 4,
        np.var(1 - np.mean([f.predictions[:, 1] > 0.5 for f in federated], axis=0), ddof=1) / 500,
    )
    expected = (3.182 * of_seeds + 1.965 * of_rows) / math.sqrt(of_seeds + of_rows)
    assert (row.gap.high - row.gap.low) / 2 == pytest.approx(expected, rel=0.02)
    assert row.seeds == 4


def test_local_is_the_mean_over_clients() -> None:
    outputs = binary([0.9, 0.9, 0.1, 0.1], [1, 1, 1, 0])
    clients = [binary([0.9, 0.9, 0.9, 0.1], [1, 1, 1, 0]), binary([0.1, 0.1, 0.1, 0.1], [1, 1, 1, 0])]
    row = by_name(compare_gap([outputs], [outputs], local=[clients], resamples=100))["accuracy"]
    assert row.local is not None
    assert row.local.value == pytest.approx((1.0 + 0.25) / 2)
    assert by_name(compare_gap([outputs], [outputs], resamples=100))["accuracy"].local is None


def test_of_groups_of_equal_size_it_is_students_interval_of_their_means() -> None:
    rng = np.random.default_rng(3)
    hits = rng.random((2, 7, 4)) < np.array([0.9, 0.6])[:, None, None]  # 7 patients of 4 images
    twins = [binary(np.where(h.ravel(), 0.9, 0.1).tolist(), [1] * 28) for h in hits]
    row = by_name(compare_gap(twins[:1], twins[1:], groups=np.repeat(np.arange(7), 4), noun="patient"))[
        "accuracy"
    ]
    differences = hits[0].mean(axis=1) - hits[1].mean(axis=1)
    half = 2.446912 * np.std(differences, ddof=1) / math.sqrt(7)  # Student's t of 6 degrees of freedom
    assert row.gap.low == pytest.approx(differences.mean() - half, abs=1e-6)
    assert row.gap.high == pytest.approx(differences.mean() + half, abs=1e-6)
    assert (row.groups, row.noun, row.seeds) == (7, "patient", 1)


def test_one_group_alone_has_no_interval_and_no_verdict() -> None:
    good, poor = binary([0.9, 0.1] * 20, [1, 0] * 20), binary([0.1, 0.9] * 20, [1, 0] * 20)
    for row in compare_gap([good], [poor], groups=np.zeros(40, dtype=np.int64)):
        assert row.verdict == "undefined"
        assert math.isnan(row.gap.low)
        assert not math.isnan(row.gap.value)


def test_what_rests_on_one_group_has_no_interval() -> None:
    outputs = binary([0.9, 0.1, 0.2, 0.3], [1, 0, 0, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = by_name(compare_gap([outputs], [binary([0.1, 0.1, 0.9, 0.3], [1, 0, 0, 0])]))
    assert (rows["accuracy"].undefined, rows["recall"].undefined) == (0, 1)
    assert rows["recall"].verdict == rows["auroc"].verdict == "undefined"
    assert math.isnan(rows["recall"].pooled.low)


@pytest.mark.parametrize(("patients", "verdict"), [(2, "unclear"), (5, "unclear"), (6, "worse"), (40, "worse")])
def test_where_all_groups_agree_their_number_decides(patients: int, verdict: str) -> None:
    # If patients differ in sign by chance, n agree with probability 2 / 2**n: less than 0.05 from 6 on.
    groups = np.repeat(np.arange(patients), 3)
    right, wrong = ([binary([p] * len(groups), [1] * len(groups))] for p in (0.9, 0.1))
    row = by_name(compare_gap(right, wrong, groups=groups))["accuracy"]
    assert (row.gap.value, row.gap.high, row.verdict) == (1.0, 1.0, verdict)
    assert row.pooled.low == pytest.approx(0.025 ** (1 / patients))  # Clopper and Pearson's, of n out of n
    assert row.pooled.high == 1.0


def test_equal_values_of_models_that_differ_are_not_equal_for_sure() -> None:
    one, other = binary([0.9] * 8, [1] * 8), binary([0.8] * 8, [1] * 8)
    row = by_name(compare_gap([one], [other]))["accuracy"]
    assert (row.gap.value, row.verdict) == (0.0, "unclear")


def test_confidence_widens_the_interval() -> None:
    pooled, federated = [random_outputs(seed=1)], [random_outputs(seed=2)]
    narrow = by_name(compare_gap(pooled, federated, confidence=0.5, resamples=500))["auroc"]
    wide = by_name(compare_gap(pooled, federated, confidence=0.99, resamples=500))["auroc"]
    assert wide.gap.low < narrow.gap.low < narrow.gap.high < wide.gap.high
    assert (narrow.confidence, wide.confidence) == (0.5, 0.99)


@pytest.mark.parametrize(
    ("setting", "metric"),
    [
        (Setting(2, 0.5), "loss"),
        (Setting(6, 0.5), "loss"),
        (Setting(10, 0.15), "f1"),
        (Setting(30, 0.15), "accuracy"),
        (Setting(10, 0.5, seeds=2), "loss"),
    ],
)
def test_intervals_of_few_groups_and_seeds_keep_their_level(setting: Setting, metric: str) -> None:
    missed = {"now": 0, "before": 0}
    draws = 200
    for number in range(draws):  # the true gap is 0
        drawn = draw(setting, number=number)
        gap = next(row.gap for row in rows_now(drawn) if row.metric == metric)
        before, _ = rows_before(drawn, resamples=100, seed=number)[metric]
        missed["now"] += not (math.isnan(gap.low) or gap.low <= 0 <= gap.high)
        missed["before"] += not (math.isnan(before.low) or before.low <= 0 <= before.high)
    most = 0.05 * draws + 2.5 * math.sqrt(0.05 * 0.95 * draws)
    assert missed["now"] <= most < missed["before"], "the bootstrap of before misses more often than stated"


def test_calibration_error_lies_within_its_own_interval() -> None:
    for seed in range(5):
        pooled, federated = [random_outputs(seed=seed)], [random_outputs(seed=9)]
        row = by_name(compare_gap(pooled, federated, resamples=200))["calibration_error"]
        assert 0 <= row.pooled.low <= row.pooled.value <= row.pooled.high
        assert row.gap.low <= row.gap.value <= row.gap.high


def test_other_test_sets_are_our_bug() -> None:
    outputs = random_outputs()
    other = Outputs(outputs.predictions, 1 - outputs.targets)
    with pytest.raises(AssertionError, match="same test set"):
        compare_gap([outputs], [other])
    with pytest.raises(AssertionError):
        compare_gap([outputs], [outputs, outputs])


def test_chunks_give_the_same_as_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pooled, federated = [random_outputs(num_examples=256)], [random_outputs(num_examples=256, seed=4)]
    whole = compare_gap(pooled, federated, resamples=256)
    monkeypatch.setattr("simulations.gap.jackknife._CHUNK", 256 * 64)
    for a, b in zip(whole, compare_gap(pooled, federated, resamples=256), strict=True):
        assert a.gap.low == pytest.approx(b.gap.low, abs=1e-12)
        assert a.gap.high == pytest.approx(b.gap.high, abs=1e-12)


def test_numpy_is_all_it_needs() -> None:
    code = "import sys, simulations.gap.jackknife"
    code += "; print([m for m in ('torch', 'sklearn', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- clients --------------------------------------------------------------------------------------


def test_worst_median_and_spread_of_clients() -> None:
    summary = per_client_summary({"north": 0.9, "south": 0.5, "east": 0.7, "west": float("nan")})
    assert (summary.worst_name, summary.worst) == ("south", 0.5)
    assert (summary.best_name, summary.best) == ("north", 0.9)
    assert summary.median == pytest.approx(0.7)
    assert summary.spread == pytest.approx(0.4)


def test_the_worst_loss_is_the_largest() -> None:
    summary = per_client_summary({"a": 0.2, "b": 1.5}, better="lower")
    assert (summary.worst_name, summary.best_name) == ("b", "a")
    assert summary.spread == pytest.approx(1.3)


def test_no_client_has_a_value() -> None:
    summary = per_client_summary({"a": float("nan")})
    assert summary.worst_name == ""
    assert np.isnan(summary.spread)
