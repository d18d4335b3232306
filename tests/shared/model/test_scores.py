"""Metrics, confusion matrices and thresholds, by numbers that are known by hand or by scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from shared.data.datamodule import ImageDataModule
from shared.model.backbones import build_network
from shared.model.scores import (
    Scores,
    best_threshold,
    build_metrics,
    compute,
    confusion,
    predict,
    score,
    threshold_counts,
)

CPU = torch.device("cpu")


def binary(probabilities, labels):
    ones = torch.tensor(probabilities, dtype=torch.float32)
    return Scores(torch.stack([1 - ones, ones], dim=1), torch.tensor(labels))


@pytest.fixture
def known():
    """Two of three right for each class: 4 of 6."""
    return binary([0.1, 0.2, 0.7, 0.3, 0.8, 0.9], [0, 0, 0, 1, 1, 1])


def random_scores(classes, rows=200):
    generator = torch.Generator().manual_seed(classes)
    labels = torch.arange(rows) % classes
    logits = torch.randn(rows, classes, generator=generator)
    logits[torch.arange(rows), labels] += 1
    return Scores(logits.softmax(dim=1), labels)


def test_binary_by_hand(known):
    values = score(known)
    assert values["accuracy"] == pytest.approx(4 / 6)
    assert values["precision"] == pytest.approx(2 / 3)
    assert values["recall"] == pytest.approx(2 / 3)
    assert values["f1"] == pytest.approx(2 / 3)
    assert values["auroc"] == pytest.approx(8 / 9)  # of the 9 pairs, one is in the wrong order
    assert values["average_precision"] == pytest.approx((1 / 1 + 2 / 2 + 3 / 4) / 3)
    assert values["loss"] == pytest.approx(-sum(map(math.log, (0.9, 0.8, 0.3, 0.3, 0.8, 0.9))) / 6)
    # Every probability is alone in its bin of 15: the mean distance from what came true.
    assert values["calibration_error"] == pytest.approx((0.1 + 0.2 + 0.7 + 0.7 + 0.2 + 0.1) / 6)
    assert list(values) == ["loss", *build_metrics(2)]


def test_the_threshold_counts(known):
    values = score(known, threshold=0.25)
    assert values["recall"] == 1.0
    assert values["precision"] == pytest.approx(3 / 4)
    assert values["accuracy"] == pytest.approx(5 / 6)
    assert values["auroc"] == pytest.approx(8 / 9)
    assert confusion(known, threshold=0.25).tolist() == [[2, 1], [0, 3]]


def test_binary_agrees_with_scikit_learn():
    scores = random_scores(2)
    ones, labels = scores.probabilities[:, 1].numpy(), scores.labels.numpy()
    predicted = ones > 0.5
    values = score(scores)
    assert values["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert values["precision"] == pytest.approx(sk.precision_score(labels, predicted))
    assert values["recall"] == pytest.approx(sk.recall_score(labels, predicted))
    assert values["f1"] == pytest.approx(sk.f1_score(labels, predicted))
    assert values["auroc"] == pytest.approx(sk.roc_auc_score(labels, ones))
    assert values["average_precision"] == pytest.approx(sk.average_precision_score(labels, ones))
    assert values["loss"] == pytest.approx(sk.log_loss(labels, ones.astype(float)), rel=1e-5)
    np.testing.assert_array_equal(confusion(scores), sk.confusion_matrix(labels, predicted))


def test_many_classes_agree_with_scikit_learn():
    scores = random_scores(4)
    probabilities, labels = scores.probabilities.double().numpy(), scores.labels.numpy()
    predicted = probabilities.argmax(axis=1)
    macro = {"average": "macro"}
    values = score(scores)
    assert values["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert values["precision"] == pytest.approx(sk.precision_score(labels, predicted, **macro))
    assert values["recall"] == pytest.approx(sk.recall_score(labels, predicted, **macro))
    assert values["f1"] == pytest.approx(sk.f1_score(labels, predicted, **macro))
    one_hot = np.eye(4)[labels]
    assert values["auroc"] == pytest.approx(sk.roc_auc_score(one_hot, probabilities, **macro))
    assert values["average_precision"] == pytest.approx(
        sk.average_precision_score(one_hot, probabilities, **macro)
    )
    np.testing.assert_array_equal(confusion(scores), sk.confusion_matrix(labels, predicted))


def test_confusion_by_hand():
    probabilities = torch.tensor(
        [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.6, 0.1, 0.3], [0.3, 0.3, 0.4]]
    )
    matrix = confusion(Scores(probabilities, torch.tensor([0, 1, 2, 2, 1])))
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 1]]
    assert matrix.dtype == np.int64


def test_a_probability_at_the_threshold_is_not_above_it():
    scores = binary([0.5, 0.5, 0.7], [0, 1, 1])
    assert confusion(scores).tolist() == [[1, 0], [1, 1]]
    assert score(scores)["recall"] == 0.5
    assert confusion(scores, threshold=0.7).tolist() == [
        [1, 0],
        [2, 0],
    ]  # 0.7 in 32 bits, as torchmetrics has it
    assert score(scores, threshold=0.7)["recall"] == 0.0


@pytest.mark.parametrize("label", [0, 1])
def test_a_missing_class_leaves_out_what_is_not_defined(label):
    values = score(binary([0.3, 0.6, 0.9], [label] * 3))
    assert values.keys() == {"loss", "accuracy", "precision", "recall", "f1", "calibration_error"}
    assert all(math.isfinite(value) for value in values.values())


def test_a_missing_class_of_many():
    scores = random_scores(4)
    rows = scores.labels != 2
    values = score(Scores(scores.probabilities[rows], scores.labels[rows]))
    assert values.keys() == {"loss", "accuracy", "precision", "recall", "f1", "calibration_error"}
    assert all(math.isfinite(value) for value in values.values())


def test_a_certain_mistake_has_a_finite_loss():
    assert score(binary([0.0, 0.5], [1, 0]))["loss"] == pytest.approx(
        (-math.log(1e-12) - math.log(0.5)) / 2, rel=1e-5
    )


def test_metrics_do_not_remember(known):
    metrics = build_metrics(2)
    first = compute(metrics, known.probabilities, known.labels)
    compute(metrics, torch.tensor([[0.0, 1.0]]), torch.tensor([0]))
    assert compute(metrics, known.probabilities, known.labels) == first


def test_the_probabilities_are_kept(known, tmp_path):
    known.save(tmp_path / "p.npz", threshold=0.25)
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]
    with np.load(tmp_path / "p.npz") as kept:
        np.testing.assert_array_equal(kept["probabilities"], known.probabilities)
        assert kept["labels"].tolist() == [0, 0, 0, 1, 1, 1]
        assert kept["threshold"] == 0.25


# --- thresholds ---------------------------------------------------------------------------------------


def test_threshold_counts_by_hand():
    counts = threshold_counts(binary([0.0, 0.0005, 0.25, 0.2501, 1.0], [0, 1, 1, 0, 1]))
    assert counts.shape == (2, 1000)
    assert {(label, column): counts[label, column] for label, column in np.argwhere(counts)} == {
        (0, 0): 1,
        (1, 0): 1,
        (1, 249): 1,  # a quarter is not above the threshold of a quarter
        (0, 250): 1,
        (1, 999): 1,
    }


def test_best_threshold_by_hand():
    # All right between 0.4 and 0.6, so the middle.
    assert best_threshold(threshold_counts(binary([0.1, 0.4, 0.6, 0.9], [0, 0, 1, 1]))) == pytest.approx(
        0.4995, abs=6e-4
    )
    # One of four is wrong anyway; best is above 0.2 and below 0.3.
    assert 0.2 <= best_threshold(threshold_counts(binary([0.1, 0.2, 0.3, 0.25], [0, 0, 1, 1]))) < 0.25


def test_ties_take_the_range_nearest_to_a_half():
    # 0.1 | 1, 0.45 | 0, 0.8 | 1: right twice for thresholds in (0, 0.1), and in (0.45, 0.8).
    scores = binary([0.1, 0.45, 0.8], [1, 0, 1])
    assert best_threshold(threshold_counts(scores)) == pytest.approx((0.45 + 0.8) / 2, abs=2e-3)
    # The other way round: (0.2, 0.55) is nearer than (0.9, 1).
    mirrored = binary([0.2, 0.55, 0.9], [0, 1, 0])
    assert best_threshold(threshold_counts(mirrored)) == pytest.approx((0.2 + 0.55) / 2, abs=2e-3)


def test_counts_of_several_clients_add_up():
    parts = [binary([0.1, 0.4], [0, 0]), binary([0.6, 0.9], [1, 1])]
    whole = binary([0.1, 0.4, 0.6, 0.9], [0, 0, 1, 1])
    np.testing.assert_array_equal(sum(map(threshold_counts, parts)), threshold_counts(whole))


def test_no_rows_leave_the_threshold_at_a_half():
    assert best_threshold(np.zeros((2, 1000), dtype=np.int64)) == 0.5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.booleans()), min_size=1, max_size=20))
def test_no_other_threshold_is_better(rows):
    # Half of the probabilities are multiples of a thousandth, where a threshold may be.
    scores = binary([number / 2000 for number, _ in rows], [int(label) for _, label in rows])
    chosen = best_threshold(threshold_counts(scores))
    thresholds = torch.tensor([number / 1000 for number in range(1, 1000)])
    right = ((scores.probabilities[:, 1, None] > thresholds) == scores.labels[:, None]).sum(dim=0)
    counted = int(np.trace(confusion(scores, threshold=chosen)))
    assert counted >= right.max()
    values = score(scores, threshold=chosen)
    assert values["accuracy"] == pytest.approx(counted / len(rows))


# --- predictions --------------------------------------------------------------------------------------


def test_predictions_are_made_in_evaluation_mode(make_config, two_class_data):
    cfg = make_config(
        "model.dropout=0.9", "model.norm=batch", "data.augment.rotate=90", "data.eval_batch_size=7"
    )
    network = build_network(cfg, num_classes=2)
    datamodule = ImageDataModule(two_class_data, cfg=cfg.data, seed=1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    first = predict(network.train(), datamodule, "test", device=CPU)
    assert network.training
    again = predict(network.eval(), datamodule, "test", device=CPU)
    assert not network.training
    assert torch.equal(first.probabilities, again.probabilities)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    rows = two_class_data.indices("test")
    np.testing.assert_array_equal(first.labels, two_class_data.labels[rows])
    images = (torch.from_numpy(two_class_data.images[rows]).float() / 255 - 0.5) / 0.5
    torch.testing.assert_close(first.probabilities, network(images).softmax(1).detach())
    assert not first.probabilities.requires_grad


def test_the_mode_is_restored_after_an_error(make_config, two_class_data):
    cfg = make_config()
    network = build_network(cfg, num_classes=2).train()
    network.fc = torch.nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        predict(network, ImageDataModule(two_class_data, cfg=cfg.data, seed=1), "test", device=CPU)
    assert network.training


def test_a_stage_without_rows(make_config, two_class_data):
    cfg = make_config()
    train = two_class_data.indices("train")
    datamodule = ImageDataModule(two_class_data, cfg=cfg.data, seed=1, indices=train)
    scores = predict(build_network(cfg, num_classes=2), datamodule, "val", device=CPU)
    assert scores.probabilities.shape == (0, 2)
    assert len(scores.labels) == 0
    assert threshold_counts(scores).sum() == 0
    assert confusion(scores).tolist() == [[0, 0], [0, 0]]
