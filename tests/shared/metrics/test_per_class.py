from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from shared.metrics.outputs import Outputs
from shared.metrics.per_class import per_class


def test_by_hand() -> None:
    """Class 0: 3 rows, 2 right, 1 claimed wrongly; class 2 is never predicted; class 3 does not occur."""
    targets = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 0, 1])
    probabilities = np.full((6, 4), 0.1, dtype=np.float32)
    probabilities[np.arange(6), predicted] = 0.7
    zero, one, two, three = per_class(Outputs(probabilities, targets))
    assert (zero.support, zero.precision, zero.recall) == (3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (one.support, one.precision, one.recall, one.f1) == (
        2,
        pytest.approx(1 / 3),
        0.5,
        pytest.approx(0.4),
    )
    assert zero.auroc == pytest.approx(2 / 3), "of 9 pairs 4 are won and 4 are drawn"
    assert (two.support, two.precision, two.recall, two.f1, two.auroc) == (1, None, 0.0, 0.0, 0.5)
    assert (three.support, three.precision, three.recall, three.f1, three.auroc) == (0, None, None, None, None)


@pytest.mark.parametrize("classes", [2, 5])
def test_as_scikit_learn_has_it(classes: int) -> None:
    rng = np.random.default_rng(3)
    targets = rng.integers(classes, size=200)
    logits = rng.normal(size=(200, classes))
    logits[np.arange(200), targets] += 1
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = per_class(Outputs(probabilities, targets, threshold=0.5))
    precision, recall, f1, support = precision_recall_fscore_support(targets, probabilities.argmax(axis=1))
    for number, own in enumerate(found):
        assert own.support == support[number]
        assert (own.precision, own.recall, own.f1) == pytest.approx(
            (precision[number], recall[number], f1[number])
        )
        assert own.auroc == pytest.approx(roc_auc_score(targets == number, probabilities[:, number]))


def test_the_threshold_of_two_classes_counts() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    no, yes = per_class(Outputs(probabilities, np.array([0, 0, 1]), threshold=0.3))
    assert (no.recall, no.precision) == (0.5, 1.0)
    assert (yes.recall, yes.precision) == (1.0, 0.5)
