from __future__ import annotations

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score
from torchmetrics.functional import classification as tm

from simulations.gap.bootstrap import (
    METRICS,
    GapRow,
    Interval,
    Predictions,
    compare_gap,
    metric_values,
    per_client_summary,
)


def random_predictions(
    *, num_examples: int = 300, classes: int = 2, skill: float = 1.0, seed: int = 0, ties: bool = False
) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(99).integers(classes, size=num_examples)
    logits = rng.normal(size=(num_examples, classes))
    logits[np.arange(num_examples), labels] += skill
    if ties:
        logits = np.round(logits)
    odds = np.exp(logits)
    return Predictions(odds / odds.sum(axis=1, keepdims=True), labels)


def binary(positive: list[float], labels: list[int], threshold: float = 0.5) -> Predictions:
    p = np.array(positive)
    return Predictions(np.stack([1 - p, p], axis=1), np.array(labels), threshold)


def by_name(rows: list[GapRow]) -> dict[str, GapRow]:
    return {row.metric: row for row in rows}


# --- values ---------------------------------------------------------------------------------------


def test_four_examples_by_hand() -> None:
    values = metric_values(binary([0.9, 0.6, 0.4, 0.1], [1, 0, 1, 0]))
    assert values["loss"] == pytest.approx(-(2 * math.log(0.9) + 2 * math.log(0.4)) / 4)
    assert values["accuracy"] == pytest.approx(2 / 4)
    assert values["precision"] == pytest.approx(1 / 2)
    assert values["recall"] == pytest.approx(1 / 2)
    assert values["f1"] == pytest.approx(1 / 2)
    assert values["auroc"] == pytest.approx(3 / 4)  # 0.9 beats both, 0.4 beats 0.1 alone
    assert values["average_precision"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert values["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)  # each in a bin of its own


def test_one_tied_score_is_half_a_win() -> None:
    values = metric_values(binary([0.5, 0.5], [1, 0]))
    assert values["auroc"] == pytest.approx(0.5)
    assert values["average_precision"] == pytest.approx(0.5)


def test_threshold_is_passed_not_reached() -> None:
    """As in torchmetrics, and so in the metrics that a run stores."""
    assert binary([0.71, 0.7], [1, 0], threshold=0.7).predicted().tolist() == [1, 0]
    assert metric_values(binary([0.71, 0.7], [1, 0], threshold=0.7))["accuracy"] == 1.0
    expected = tm.binary_accuracy(torch.tensor([0.71, 0.7]), torch.tensor([1, 0]), threshold=0.7)
    assert expected == 1.0


def test_three_classes_by_hand() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7], [0.1, 0.6, 0.3]])
    values = metric_values(Predictions(probabilities, np.array([0, 1, 2, 2])))
    assert values["accuracy"] == pytest.approx(3 / 4)
    assert values["precision"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert values["recall"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert values["f1"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert values["auroc"] == pytest.approx((1 + (2 + 0.5) / 3 + 1) / 3)  # class 1: 0.6 ties with 0.6


@pytest.mark.parametrize("ties", [False, True])
def test_two_classes_equal_torchmetrics(ties: bool) -> None:
    pred = random_predictions(ties=ties)
    pred = Predictions(pred.probabilities, pred.labels, threshold=0.4321)
    p, y = torch.tensor(pred.probabilities[:, 1]), torch.tensor(pred.labels)
    values = metric_values(pred)
    expected = {
        "accuracy": tm.binary_accuracy(p, y, threshold=0.4321),
        "precision": tm.binary_precision(p, y, threshold=0.4321),
        "recall": tm.binary_recall(p, y, threshold=0.4321),
        "f1": tm.binary_f1_score(p, y, threshold=0.4321),
        "auroc": tm.binary_auroc(p, y),
        "average_precision": tm.binary_average_precision(p, y),
        "calibration_error": tm.binary_calibration_error(p, y, n_bins=15),
    }
    for name, value in expected.items():
        assert values[name][0] == pytest.approx(float(value), abs=1e-6), name
    assert values["loss"][0] == pytest.approx(log_loss(pred.labels, pred.probabilities))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [3, 10])
def test_more_classes_equal_torchmetrics(classes: int, ties: bool) -> None:
    pred = random_predictions(classes=classes, ties=ties)
    p, y = torch.tensor(pred.probabilities), torch.tensor(pred.labels)
    values = metric_values(pred)
    expected = {
        "accuracy": tm.multiclass_accuracy(p, y, classes, average="micro"),
        "precision": tm.multiclass_precision(p, y, classes, average="macro"),
        "recall": tm.multiclass_recall(p, y, classes, average="macro"),
        "f1": tm.multiclass_f1_score(p, y, classes, average="macro"),
        "auroc": tm.multiclass_auroc(p, y, classes, average="macro"),
        "average_precision": tm.multiclass_average_precision(p, y, classes, average="macro"),
        "calibration_error": tm.multiclass_calibration_error(p, y, classes, n_bins=15),
    }
    for name, value in expected.items():
        assert values[name][0] == pytest.approx(float(value), abs=1e-6), name
    assert values["loss"][0] == pytest.approx(log_loss(pred.labels, pred.probabilities))


def test_calibration_error_of_certain_predictions_has_its_own_bin() -> None:
    p = torch.tensor([1.0, 1.0, 0.95, 0.0], dtype=torch.float64)
    y = torch.tensor([1, 0, 1, 0])
    values = metric_values(binary(p.tolist(), y.tolist()))
    assert values["calibration_error"][0] == pytest.approx(float(tm.binary_calibration_error(p, y, n_bins=15)))
    assert values["calibration_error"][0] == pytest.approx((1 + 0.05) / 4)


@pytest.mark.parametrize("ties", [False, True])
def test_weights_equal_sklearn(ties: bool) -> None:
    pred = random_predictions(num_examples=80, ties=ties)
    weights = np.random.default_rng(5).integers(0, 4, size=(6, 80)).astype(np.float64)
    values = metric_values(pred, weights)
    for row, w in enumerate(weights):
        y, p = pred.labels, pred.probabilities[:, 1]
        assert values["auroc"][row] == pytest.approx(roc_auc_score(y, p, sample_weight=w))
        assert values["average_precision"][row] == pytest.approx(average_precision_score(y, p, sample_weight=w))
        assert values["f1"][row] == pytest.approx(f1_score(y, p > 0.5, sample_weight=w))
        assert values["loss"][row] == pytest.approx(log_loss(y, p, sample_weight=w))


@pytest.mark.parametrize("classes", [2, 4])
def test_weights_are_repeated_examples(classes: int) -> None:
    pred = random_predictions(num_examples=60, classes=classes, ties=True)
    counts = np.random.default_rng(6).integers(0, 4, size=60)
    repeated = Predictions(np.repeat(pred.probabilities, counts, axis=0), np.repeat(pred.labels, counts))
    weighted = metric_values(pred, counts[None].astype(np.float64))
    for name, value in metric_values(repeated).items():
        assert weighted[name] == pytest.approx(value, abs=1e-12), name


def test_no_positives_is_undefined() -> None:
    values = metric_values(binary([0.9, 0.2], [0, 0]))
    assert values["accuracy"] == 0.5
    assert all(np.isnan(values[m][0]) for m in ("precision", "recall", "f1", "auroc", "average_precision"))


def test_class_without_examples_is_left_out_of_the_mean() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    values = metric_values(Predictions(probabilities, np.array([0, 1, 1])))
    assert values["recall"] == pytest.approx((1 + 0) / 2)
    assert values["auroc"] == pytest.approx((1 + 1) / 2)


def test_probabilities_that_are_not_finite_make_everything_undefined() -> None:
    good = binary([0.9, 0.2, 0.6], [1, 0, 0])
    bad = binary([0.9, float("nan"), 0.6], [1, 0, 0])
    assert all(np.isnan(v[0]) for v in metric_values(bad).values())
    for row in compare_gap([good], [bad], resamples=100):
        assert row.verdict == "undefined"
        assert np.isnan([row.gap.value, row.gap.low, row.gap.high]).all()
        assert row.undefined == 100


def test_a_probability_of_zero_costs_a_finite_loss() -> None:
    assert metric_values(binary([0.0, 1.0], [1, 1]))["loss"] == pytest.approx(-math.log(1e-12) / 2)


# --- gap ------------------------------------------------------------------------------------------


def test_identical_predictions_have_no_gap_at_all() -> None:
    pred = random_predictions(classes=3)
    rows = compare_gap([pred, pred], [pred, pred], resamples=300)
    assert [row.metric for row in rows] == list(METRICS)
    for row in rows:
        assert row.gap == Interval(0.0, 0.0, 0.0)
        assert row.verdict == "unclear"
        assert row.pooled == row.federated


def test_same_seed_same_intervals_and_other_seed_others() -> None:
    pooled, federated = [random_predictions(seed=1)], [random_predictions(seed=2, skill=0.8)]
    first = compare_gap(pooled, federated, resamples=200, seed=3)
    assert first == compare_gap(pooled, federated, resamples=200, seed=3)
    assert first != compare_gap(pooled, federated, resamples=200, seed=4)


def test_gap_is_pooled_minus_federated_and_knows_the_better_direction() -> None:
    good, poor = random_predictions(skill=4.0, seed=1), random_predictions(skill=0.5, seed=2)
    for row in compare_gap([good], [poor], resamples=200):
        assert row.gap.value == pytest.approx(row.pooled.value - row.federated.value)
        assert row.gap.low <= row.gap.value <= row.gap.high
    rows = by_name(compare_gap([good], [poor], resamples=200))
    assert rows["accuracy"].verdict == rows["loss"].verdict == "worse"
    assert rows["accuracy"].gap.value > 0 > rows["loss"].gap.value
    rows = by_name(compare_gap([poor], [good], resamples=200))
    assert rows["accuracy"].verdict == rows["loss"].verdict == "better"


def test_interval_of_accuracy_is_near_the_normal_approximation() -> None:
    pred = binary([0.9] * 320 + [0.1] * 80, [1] * 400)  # accuracy 0.8 of 400: standard error 0.02
    row = by_name(compare_gap([pred], [pred], resamples=4000))["accuracy"]
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
    pred = binary(([0.9] * 4 + [0.1] * 4) * 50, [1] * 400)
    groups = np.repeat(np.arange(100), 4)  # 100 patients, each all right or all wrong
    alone = by_name(compare_gap([pred], [pred], resamples=2000))["accuracy"].pooled
    grouped = by_name(compare_gap([pred], [pred], resamples=2000, groups=groups))["accuracy"].pooled
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 400), abs=0.01)
    assert grouped.high - grouped.low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 100), abs=0.025)


def test_seeds_that_differ_widen_the_gap() -> None:
    labels = [1] * 500
    accuracies = [0.70, 0.74, 0.78, 0.82]
    pooled = [binary([0.9] * 500, labels)] * 4
    federated = [binary([0.9] * round(500 * a) + [0.1] * round(500 * (1 - a)), labels) for a in accuracies]
    row = by_name(compare_gap(pooled, federated, resamples=2000))["accuracy"]
    assert row.gap.value == pytest.approx(1 - 0.76)
    # the variance of the mean of 4 seeds, plus that of 500 examples
    expected = math.sqrt(np.var(accuracies, ddof=1) / 4 + 0.76 * 0.24 / 500)
    assert (row.gap.high - row.gap.low) / (2 * 1.96) == pytest.approx(expected, rel=0.15)


def test_local_is_the_mean_over_clients() -> None:
    pred = binary([0.9, 0.9, 0.1, 0.1], [1, 1, 1, 0])
    clients = [binary([0.9, 0.9, 0.9, 0.1], [1, 1, 1, 0]), binary([0.1, 0.1, 0.1, 0.1], [1, 1, 1, 0])]
    row = by_name(compare_gap([pred], [pred], local=[clients], resamples=100))["accuracy"]
    assert row.local is not None
    assert row.local.value == pytest.approx((1.0 + 0.25) / 2)
    assert by_name(compare_gap([pred], [pred], resamples=100))["accuracy"].local is None


def test_resamples_without_positives_are_left_out_and_counted() -> None:
    pred = binary([0.9, 0.1, 0.2, 0.3], [1, 0, 0, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = by_name(compare_gap([pred], [pred], resamples=1000))
    assert rows["accuracy"].undefined == 0
    without_a_positive = 1000 * (3 / 4) ** 4
    assert rows["recall"].undefined == pytest.approx(without_a_positive, abs=60)
    assert rows["auroc"].undefined > rows["recall"].undefined  # also resamples without a negative
    assert rows["recall"].pooled == Interval(1.0, 1.0, 1.0)


def test_confidence_widens_the_interval() -> None:
    pooled, federated = [random_predictions(seed=1)], [random_predictions(seed=2)]
    narrow = by_name(compare_gap(pooled, federated, confidence=0.5, resamples=500))["auroc"]
    wide = by_name(compare_gap(pooled, federated, confidence=0.99, resamples=500))["auroc"]
    assert wide.gap.low < narrow.gap.low < narrow.gap.high < wide.gap.high
    assert (narrow.confidence, wide.confidence) == (0.5, 0.99)


def test_about_95_of_100_intervals_hold_the_true_gap() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(60):
        hits = rng.random((2, 200)) < np.array([[0.8], [0.7]])  # true gap of accuracy: 0.1
        twins = [binary(np.where(h, 0.9, 0.1).tolist(), [1] * 200) for h in hits]
        gap = by_name(compare_gap(twins[:1], twins[1:], resamples=200, seed=trial))["accuracy"].gap
        held += gap.low <= 0.1 <= gap.high
    assert 52 <= held <= 60  # 57 expected, standard deviation 1.7


def test_calibration_error_lies_within_its_own_interval() -> None:
    for seed in range(5):
        pooled, federated = [random_predictions(seed=seed)], [random_predictions(seed=9)]
        row = by_name(compare_gap(pooled, federated, resamples=200))["calibration_error"]
        assert 0 <= row.pooled.low <= row.pooled.value <= row.pooled.high
        assert row.gap.low <= row.gap.value <= row.gap.high


def test_other_test_sets_are_our_bug() -> None:
    pred = random_predictions()
    other = Predictions(pred.probabilities, 1 - pred.labels)
    with pytest.raises(AssertionError, match="same test set"):
        compare_gap([pred], [other])
    with pytest.raises(AssertionError):
        compare_gap([pred], [pred, pred])


def test_chunks_give_the_same_as_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pooled, federated = [random_predictions(num_examples=256)], [random_predictions(num_examples=256, seed=4)]
    whole = compare_gap(pooled, federated, resamples=256)
    monkeypatch.setattr("simulations.gap.bootstrap._CHUNK", 256 * 64)
    for a, b in zip(whole, compare_gap(pooled, federated, resamples=256), strict=True):
        assert a.gap.low == pytest.approx(b.gap.low, abs=1e-12)
        assert a.gap.high == pytest.approx(b.gap.high, abs=1e-12)


def test_numpy_is_all_it_needs() -> None:
    code = "import sys, simulations.gap.bootstrap"
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
