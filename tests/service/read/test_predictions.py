"""Curves of a model's outputs: against counts made by hand, and against a second implementation."""

from __future__ import annotations

import numpy as np
import pytest

from service.api import chart_schemas
from service.read.prediction_curves import (
    CURVE_POINTS,
    calibration,
    describe,
    precision_recall,
    roc,
    sweep,
)
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import OUTPUTS_FILE, Outputs


def floats(*values):
    return np.array(values, dtype=np.float32)


def of_two(scores, labels, threshold=0.5):
    positive = np.asarray(scores, dtype=np.float32)
    return Outputs(np.stack([1 - positive, positive], axis=1), np.asarray(labels), threshold)


SCORES, LABELS = floats(0.1, 0.4, 0.35, 0.8), np.array([0, 0, 1, 1])


def test_roc_by_hand():
    # By falling score: right at 0.8, wrong at 0.4, right at 0.35, wrong at 0.1; 3 of 4 pairs are in order.
    found = roc(SCORES, LABELS)
    assert found["fpr"] == [0.0, 0.0, 0.5, 0.5, 1.0]
    assert found["tpr"] == [0.0, 0.5, 0.5, 1.0, 1.0]
    assert found["threshold"] == [None, *map(float, floats(0.8, 0.4, 0.35, 0.1))]
    assert found["auroc"] == 0.75


def test_precision_and_recall_by_hand():
    found = precision_recall(SCORES, LABELS)
    curve = dict(zip(found["threshold"], zip(found["recall"], found["precision"], strict=True), strict=True))
    assert curve[float(floats(0.35)[0])] == (1.0, pytest.approx(2 / 3))
    assert curve[float(floats(0.4)[0])] == (0.5, 0.5)
    assert curve[float(floats(0.8)[0])] == (0.5, 1.0)
    assert curve[None] == (0.0, 1.0)
    assert found["recall"] == sorted(found["recall"], reverse=True)
    assert found["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_calibration_by_hand():
    # Bins are fifteenths: 0.1 lies in the second, 0.5 and 0.52 in the eighth, 1 in one of its own.
    found = calibration(of_two([0.1, 0.5, 0.52, 1.0, 1.0], [0, 1, 0, 1, 0]))
    assert found["count"] == [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert (found["lower"][7], found["upper"][7]) == (pytest.approx(7 / 15), pytest.approx(8 / 15))
    assert (found["lower"][15], found["upper"][15]) == (1.0, 1.0)
    assert (found["confidence"][7], found["accuracy"][7]) == (pytest.approx(0.51), 0.5)
    assert (found["confidence"][0], found["accuracy"][0]) == (None, None)
    assert found["ece"] == pytest.approx((1 * 0.1 + 2 * 0.01 + 2 * 0.5) / 5)
    assert len(calibration(of_two([0.1], [0]))["count"]) == 15


def test_calibration_of_the_likeliest_of_three_classes():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], dtype=np.float32)
    found = calibration(Outputs(probabilities, np.array([0, 0]), 0.5))
    assert (found["accuracy"][7], found["accuracy"][10]) == (1.0, 0.0)
    assert found["ece"] == pytest.approx((0.5 + 0.7) / 2)


def test_the_threshold_sweep_by_hand():
    found = sweep(floats(0.0, 0.1, 0.35, 0.35, 1.0), np.array([0, 1, 0, 1, 1]))
    assert (found["threshold"][0], found["threshold"][35], found["threshold"][100]) == (0.0, 0.35, 1.0)
    at = {
        step: tuple(found[name][step] for name in ("tp", "fp", "tn", "fn")) for step in (0, 10, 34, 35, 99, 100)
    }
    assert at == {
        0: (3, 1, 1, 0),  # above 0, so that 0 itself is not
        10: (2, 1, 1, 1),
        34: (2, 1, 1, 1),
        35: (1, 0, 2, 2),
        99: (1, 0, 2, 2),
        100: (0, 0, 2, 3),
    }


def test_one_class_alone_has_no_curves():
    found = describe(of_two([0.25, 0.75], [0, 0]), classes=None)
    chart_schemas.PredictionCurves.model_validate(found)
    assert (found["roc"], found["pr"]) == (None, None)
    assert found["sweep"]["fp"][50] == 1
    assert precision_recall(floats(0.2, 0.4), np.array([1, 1]))["average_precision"] == 1.0


@pytest.mark.parametrize("num_classes", [2, 4])
def test_the_numbers_are_those_of_the_comparison(num_classes, tmp_path):
    rng = np.random.default_rng(num_classes)
    labels = rng.integers(num_classes, size=700)
    odds = np.exp(rng.normal(size=(700, num_classes)) + np.eye(num_classes)[labels])
    probabilities = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    probabilities[:5] = np.eye(num_classes)[labels[:5]]  # as sure as can be
    np.savez(tmp_path / OUTPUTS_FILE, probabilities=probabilities, labels=labels, threshold=0.3)

    names = [f"class {number}" for number in range(num_classes)]
    found = describe(Outputs.load(tmp_path / OUTPUTS_FILE), classes=names)
    chart_schemas.PredictionCurves.model_validate(found)
    expected = ClassificationMetrics(num_classes).values(Outputs(probabilities, labels, threshold=0.3))
    assert (found["threshold"], found["num_examples"], found["classes"]) == (0.3, 700, names)
    assert np.trace(found["confusion"]) / 700 == pytest.approx(expected["accuracy"])
    assert found["calibration"]["ece"] == pytest.approx(expected["calibration_error"])
    if num_classes == 2:
        assert found["roc"]["auroc"] == pytest.approx(expected["auroc"])
        assert found["pr"]["average_precision"] == pytest.approx(expected["average_precision"])
        counts = [[found["sweep"][name][30] for name in row] for row in (("tn", "fp"), ("fn", "tp"))]
        assert counts == found["confusion"]
        assert found["confusion"][1][1] / sum(found["confusion"][1]) == pytest.approx(expected["recall"])
        assert found["roc_classes"] is None
    else:
        assert [one["class"] for one in found["roc_classes"]] == names
        mean = np.mean([one["auroc"] for one in found["roc_classes"]])
        assert mean == pytest.approx(expected["auroc"])
        assert [found[name] for name in ("roc", "pr", "sweep")] == [None] * 3


def test_long_curves_are_thinned_and_keep_their_ends():
    rng = np.random.default_rng(0)
    scores, labels = rng.random(20_000).astype(np.float32), rng.integers(2, size=20_000)
    curve, other = roc(scores, labels), precision_recall(scores, labels)
    assert len(curve["fpr"]) == len(curve["threshold"]) == len(other["recall"]) == CURVE_POINTS
    assert (curve["fpr"][0], curve["tpr"][0], curve["fpr"][-1], curve["tpr"][-1]) == (0.0, 0.0, 1.0, 1.0)
    assert (other["recall"][0], other["recall"][-1], other["precision"][-1]) == (1.0, 0.0, 1.0)
    assert None not in other["threshold"][:-1]


def test_names_that_do_not_fit_are_not_used():
    assert describe(of_two([0.25, 0.75], [0, 1]), classes=["a", "b", "c"])["classes"] == ["0", "1"]
