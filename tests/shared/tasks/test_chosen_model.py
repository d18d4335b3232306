"""What is to be doubted of a tested model: known answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.tasks.chosen_model import ChosenModel, of_confusion
from shared.tasks.selection import Monitor

FOURTH = ChosenModel("epoch", 4, of=10, chosen=True, monitor=Monitor("val/auroc", "max"))
GOOD = [[5, 1], [2, 4]]


def test_a_model_like_any_other() -> None:
    assert FOURTH.summary(GOOD, classes=["no", "yes"]) == {"test_epoch": 4, "warnings": []}
    assert replace(FOURTH, unit="round").summary(None, classes=()) == {"test_round": 4, "warnings": []}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"number": 1},
            "the model of the first epoch of 10 was tested, as val/auroc was never better afterwards",
        ),
        ({"number": 1, "of": 1}, None),  # there was no other
        ({"number": 1, "chosen": False}, None),  # the last, as configured
        (
            {"number": 10, "measured": False},
            "val/auroc, which was to choose the model, was never measured: the ",
        ),
        ({"number": 10, "measured": False, "chosen": False}, None),
    ],
)
def test_what_chose_it(changes: dict[str, object], says: str | None) -> None:
    found = replace(FOURTH, **changes).summary(GOOD, classes=["no", "yes"])["warnings"]  # type: ignore[arg-type]
    assert len(found) == (says is not None)
    assert says is None or found[0].startswith(says)


@pytest.mark.parametrize(
    ("confusion", "says"),
    [
        (
            [[0, 6], [0, 4]],
            ["the tested model calls all 10 test examples yes (4 are): its accuracy is that class's share"],
        ),
        ([[5, 1], [4, 0]], []),  # wrong, but it does predict both
        ([[0, 0], [0, 4]], []),  # no row of the other class: nothing to predict
        (None, []),
    ],
)
def test_a_class_that_is_never_predicted(confusion: list[list[int]] | None, says: list[str]) -> None:
    assert of_confusion(confusion, classes=["no", "yes"]) == says


def test_of_many_classes_those_that_are_never_predicted() -> None:
    confusion = [[3, 0, 1, 0], [2, 0, 2, 0], [0, 0, 4, 0], [0, 0, 0, 0]]
    assert of_confusion(confusion, classes=["a", "b", "c", "d"]) == [
        "the tested model never predicts b (4 test examples)"
    ]
