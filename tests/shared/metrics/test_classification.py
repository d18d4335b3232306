"""A classifier's metrics, by numbers that are known by hand, by scikit-learn and by torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score
from torchmetrics.functional import classification as tm

from shared.metrics.averages import Floats
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import Outputs


def metric_values(outputs: Outputs, weights: Floats | None = None) -> dict[str, Floats]:
    return ClassificationMetrics(outputs.num_classes).score(outputs, weights)


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
    assert ClassificationMetrics(2).predicted(binary([0.71, 0.7], [1, 0], threshold=0.7)).tolist() == [1, 0]
    assert metric_values(binary([0.71, 0.7], [1, 0], threshold=0.7))["accuracy"] == 1.0
    expected = tm.binary_accuracy(torch.tensor([0.71, 0.7]), torch.tensor([1, 0]), threshold=0.7)
    assert expected == 1.0


def test_three_classes_by_hand() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7], [0.1, 0.6, 0.3]])
    values = metric_values(Outputs(probabilities, np.array([0, 1, 2, 2])))
    assert values["accuracy"] == pytest.approx(3 / 4)
    assert values["precision"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert values["recall"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert values["f1"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert values["auroc"] == pytest.approx((1 + (2 + 0.5) / 3 + 1) / 3)  # class 1: 0.6 ties with 0.6


@pytest.mark.parametrize("ties", [False, True])
def test_two_classes_equal_torchmetrics(ties: bool) -> None:
    outputs = random_outputs(ties=ties)
    outputs = Outputs(outputs.predictions, outputs.targets, threshold=0.4321)
    p, y = torch.tensor(outputs.predictions[:, 1]), torch.tensor(outputs.targets)
    values = metric_values(outputs)
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
    assert values["loss"][0] == pytest.approx(log_loss(outputs.targets, outputs.predictions))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [3, 10])
def test_more_classes_equal_torchmetrics(classes: int, ties: bool) -> None:
    outputs = random_outputs(classes=classes, ties=ties)
    p, y = torch.tensor(outputs.predictions), torch.tensor(outputs.targets)
    values = metric_values(outputs)
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
    assert values["loss"][0] == pytest.approx(log_loss(outputs.targets, outputs.predictions))


def test_calibration_error_of_certain_predictions_has_its_own_bin() -> None:
    p = torch.tensor([1.0, 1.0, 0.95, 0.0], dtype=torch.float64)
    y = torch.tensor([1, 0, 1, 0])
    values = metric_values(binary(p.tolist(), y.tolist()))
    assert values["calibration_error"][0] == pytest.approx(float(tm.binary_calibration_error(p, y, n_bins=15)))
    assert values["calibration_error"][0] == pytest.approx((1 + 0.05) / 4)


@pytest.mark.parametrize("ties", [False, True])
def test_weights_equal_sklearn(ties: bool) -> None:
    outputs = random_outputs(num_examples=80, ties=ties)
    weights = np.random.default_rng(5).integers(0, 4, size=(6, 80)).astype(np.float64)
    values = metric_values(outputs, weights)
    for row, w in enumerate(weights):
        y, p = outputs.targets, outputs.predictions[:, 1]
        assert values["auroc"][row] == pytest.approx(roc_auc_score(y, p, sample_weight=w))
        assert values["average_precision"][row] == pytest.approx(average_precision_score(y, p, sample_weight=w))
        assert values["f1"][row] == pytest.approx(f1_score(y, p > 0.5, sample_weight=w))
        assert values["loss"][row] == pytest.approx(log_loss(y, p, sample_weight=w))


@pytest.mark.parametrize("classes", [2, 4])
def test_weights_are_repeated_examples(classes: int) -> None:
    outputs = random_outputs(num_examples=60, classes=classes, ties=True)
    counts = np.random.default_rng(6).integers(0, 4, size=60)
    repeated = Outputs(np.repeat(outputs.predictions, counts, axis=0), np.repeat(outputs.targets, counts))
    weighted = metric_values(outputs, counts[None].astype(np.float64))
    for name, value in metric_values(repeated).items():
        assert weighted[name] == pytest.approx(value, abs=1e-12), name


def test_no_positives_is_undefined() -> None:
    values = metric_values(binary([0.9, 0.2], [0, 0]))
    assert values["accuracy"] == 0.5
    assert all(np.isnan(values[m][0]) for m in ("precision", "recall", "f1", "auroc", "average_precision"))


def test_class_without_examples_is_left_out_of_the_mean() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    values = metric_values(Outputs(probabilities, np.array([0, 1, 1])))
    assert values["recall"] == pytest.approx((1 + 0) / 2)
    assert values["auroc"] == pytest.approx((1 + 1) / 2)


def test_probabilities_that_are_not_finite_make_everything_undefined() -> None:
    bad = binary([0.9, float("nan"), 0.6], [1, 0, 0])
    assert all(np.isnan(v[0]) for v in metric_values(bad).values())
    assert ClassificationMetrics(2).values(bad) == {}


def test_a_probability_of_zero_costs_a_finite_loss() -> None:
    assert metric_values(binary([0.0, 1.0], [1, 1]))["loss"] == pytest.approx(-math.log(1e-12) / 2)


# --- single values --------------------------------------------------------------------------------


def random_floats(classes: int, rows: int = 200) -> Outputs:
    """Probabilities in 32 bits, as a network gives them."""
    generator = torch.Generator().manual_seed(classes)
    labels = torch.arange(rows) % classes
    logits = torch.randn(rows, classes, generator=generator)
    logits[torch.arange(rows), labels] += 1
    return Outputs(logits.softmax(dim=1).numpy(), labels.numpy())


def values_of(outputs: Outputs) -> dict[str, float]:
    return ClassificationMetrics(outputs.num_classes).values(outputs)


@pytest.fixture
def known() -> Outputs:
    """Two of three right for each class: 4 of 6."""
    return binary([0.1, 0.2, 0.7, 0.3, 0.8, 0.9], [0, 0, 0, 1, 1, 1])


def test_all_metrics_come_in_the_order_of_the_catalogue(known: Outputs) -> None:
    judge = ClassificationMetrics(2)
    assert list(judge.values(known)) == list(judge.score(known)) == list(judge.names)
    # Every probability is alone in its bin of 15: the mean distance from what came true.
    expected = (0.1 + 0.2 + 0.7 + 0.7 + 0.2 + 0.1) / 6
    assert judge.values(known)["calibration_error"] == pytest.approx(expected)


def test_the_threshold_counts(known: Outputs) -> None:
    values = values_of(known.at(0.25))
    assert values["recall"] == 1.0
    assert values["precision"] == pytest.approx(3 / 4)
    assert values["accuracy"] == pytest.approx(5 / 6)
    assert values["auroc"] == pytest.approx(8 / 9)
    assert ClassificationMetrics(2).confusion(known.at(0.25)).tolist() == [[2, 1], [0, 3]]


@pytest.mark.parametrize("classes", [2, 4])
def test_values_agree_with_scikit_learn(classes: int) -> None:
    outputs = random_floats(classes)
    probabilities, labels = outputs.predictions.astype(np.float64), outputs.targets
    predicted = probabilities.argmax(axis=1)
    average = {"average": "macro" if classes > 2 else "binary"}
    true = np.eye(classes)[labels] if classes > 2 else labels
    scores = probabilities if classes > 2 else probabilities[:, 1]
    values = values_of(outputs)
    assert values["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert values["precision"] == pytest.approx(sk.precision_score(labels, predicted, **average))
    assert values["recall"] == pytest.approx(sk.recall_score(labels, predicted, **average))
    assert values["f1"] == pytest.approx(sk.f1_score(labels, predicted, **average))
    assert values["auroc"] == pytest.approx(sk.roc_auc_score(true, scores))
    assert values["average_precision"] == pytest.approx(sk.average_precision_score(true, scores))
    rows = probabilities / probabilities.sum(axis=1, keepdims=True)
    assert values["loss"] == pytest.approx(sk.log_loss(labels, rows), rel=1e-6)
    confusion = ClassificationMetrics(classes).confusion(outputs)
    np.testing.assert_array_equal(confusion, sk.confusion_matrix(labels, predicted))


def test_confusion_by_hand() -> None:
    probabilities = np.array(
        [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.6, 0.1, 0.3], [0.3, 0.3, 0.4]]
    )
    matrix = ClassificationMetrics(3).confusion(Outputs(probabilities, np.array([0, 1, 2, 2, 1])))
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 1]]
    assert matrix.dtype == np.int64


def test_a_probability_at_the_threshold_is_not_above_it() -> None:
    outputs, judge = binary([0.5, 0.5, 0.7], [0, 1, 1]), ClassificationMetrics(2)
    assert judge.confusion(outputs).tolist() == [[1, 0], [1, 1]]
    # 0.7 in 32 bits, as torchmetrics has it
    assert judge.confusion(outputs.at(0.7)).tolist() == [[1, 0], [2, 0]]
    assert judge.values(outputs.at(0.7))["recall"] == 0.0


# --- classes that do not occur --------------------------------------------------------------------

ALWAYS = {"accuracy", "loss", "calibration_error"}
OF_CLASS_1 = {"f1", "precision", "recall", "average_precision"}


def test_of_two_classes_what_is_of_an_absent_class_is_not_defined() -> None:
    assert values_of(binary([0.3, 0.6, 0.9], [0] * 3)).keys() == ALWAYS
    assert values_of(binary([0.3, 0.6, 0.9], [1] * 3)).keys() == ALWAYS | OF_CLASS_1
    judge = ClassificationMetrics(2)
    assert judge.defined_for([5, 0]) == ALWAYS
    assert judge.defined_for([0, 5]) == ALWAYS | OF_CLASS_1
    assert judge.defined_for([1, 5]) == set(judge.names)


@pytest.mark.parametrize("absent", [[2], [0, 3]])
def test_absent_classes_are_left_out_of_the_means_whatever_is_predicted(absent: list[int]) -> None:
    """As torchmetrics has it of each class; its own means count a class that is predicted, but absent, as 0."""
    outputs = random_floats(4)
    rows = ~np.isin(outputs.targets, absent)
    outputs = Outputs(outputs.predictions[rows], outputs.targets[rows])
    assert set(absent) <= {*ClassificationMetrics(4).predicted(outputs)}
    p, y = torch.tensor(outputs.predictions), torch.tensor(outputs.targets)
    present = [k for k in range(4) if k not in absent]
    values = values_of(outputs)
    for name, of_each in {
        "precision": tm.multiclass_precision(p, y, 4, average=None),
        "recall": tm.multiclass_recall(p, y, 4, average=None),
        "f1": tm.multiclass_f1_score(p, y, 4, average=None),
        "average_precision": tm.multiclass_average_precision(p, y, 4, average=None),
    }.items():
        assert values[name] == pytest.approx(float(of_each[present].mean()), abs=1e-6), name
    areas = [float(tm.binary_auroc(p[:, k], (y == k).long())) for k in present]
    assert values["auroc"] == pytest.approx(np.mean(areas), abs=1e-6)
    assert values["accuracy"] == pytest.approx(
        float(tm.multiclass_accuracy(p, y, 4, average="micro")), abs=1e-6
    )
    assert ClassificationMetrics(4).defined_for([k not in absent for k in range(4)]) == values.keys()


def test_one_class_of_many_has_no_auroc() -> None:
    assert ClassificationMetrics(3).defined_for([0, 4, 0]) == ALWAYS | OF_CLASS_1
