"""Which of two classes is positive, labels that are numbers, and labels that are several findings."""

from __future__ import annotations

import pytest

from shared.config.compose import compose
from shared.data.sources.targets import TargetColumn, Targets
from shared.runtime.errors import ConfigError
from shared.tasks.image_classification.data import read_classes
from shared.tasks.image_classification.spec import ClassificationSpec

TEXTS = ("covid", "healthy", "healthy", "covid", "healthy")


def read(*texts: str, **more: object) -> tuple[Targets, list[str]]:
    problems: list[str] = []
    column = TargetColumn("label", texts, [str(row) for row in range(len(texts))], **more)  # type: ignore[arg-type]
    return read_classes(column, problems), problems


def test_the_positive_class_is_the_one_that_is_named() -> None:
    for positive, classes in ((None, ("covid", "healthy")), ("covid", ("healthy", "covid"))):
        targets, problems = read(*TEXTS, positive=positive)
        assert problems == []
        assert targets.schema.classes == classes
        assert [classes[value] for value in targets.values] == list(TEXTS)
        assert targets.strata is not None
        assert [targets.strata.names[number] for number in targets.strata.numbers] == list(TEXTS)
        assert ClassificationSpec(targets.schema).positive == (positive or "healthy")


def test_of_numbered_labels_too() -> None:
    targets, problems = read(
        "0", "1", "1", numbered=True, classes=("pneumonia", "normal"), positive="pneumonia"
    )
    assert (problems, targets.schema.classes) == ([], ("normal", "pneumonia"))
    assert targets.values.tolist() == [1, 0, 0]


@pytest.mark.parametrize("texts", [TEXTS, ("a", "b", "c")])
def test_a_class_that_is_none_of_two_is_refused(texts: tuple[str, ...]) -> None:
    _, (problem,) = read(*texts, positive="Covid")
    assert all(repr(name) in problem for name in set(texts))


def test_classes_that_are_numbers() -> None:
    assert compose(["data=digits", "data.classes=[1,0]"]).images.classes == ("1", "0")
    targets, problems = read("0", "1", "1", wanted=("1", "0"))
    assert (problems, targets.values.tolist()) == ([], [1, 0, 0])
    # An order of the numbers of a numbered source: no label gets another's name.
    targets, problems = read("0", "1", "1", numbered=True, wanted=("1", "0"))
    assert (problems, [targets.schema.classes[value] for value in targets.values]) == ([], ["0", "1", "1"])
    with pytest.raises(ConfigError, match="in quotes"):
        compose(["data=digits", "data.classes=[true,false]"])


@pytest.mark.parametrize("separator", ["|", ";", ",", " / ", "+", " & ", " and ", " "])
def test_findings_that_are_joined_are_no_classes(separator: str) -> None:
    texts = ("Mass", f"Mass{separator}Nodule", "Nodule", "No Finding")
    _, (problem,) = read(*texts)
    assert "task=image_multilabel" in problem
    named = separator if separator in (" ", " and ") else separator.strip()
    assert (f"task.separator='{named}'" in problem) == (separator != "|")
    assert read(*texts, wanted=tuple(sorted(texts)))[1] == []
    for classes in (
        ("stage I, early", "stage II"),
        ("stage I/II", "stage III"),
        ("A+", "A-"),
        ("B C", "B", "D"),
    ):
        assert read(*classes)[1] == []


def test_labels_that_are_lists_or_numbers_with_a_comma() -> None:
    assert "lists as Python writes them" in read("['Mass']", "['Mass', 'Nodule']", "[]")[1][0]
    (problem,) = read("1,5", "2,5", "3,75")[1]
    assert "task=image_regression" in problem


def test_a_healthy_positive_class_and_classes_that_are_numbers_are_said() -> None:
    assert "data.positive=abnormal" in read("abnormal", "normal")[0].notes[0]
    assert read("abnormal", "normal", positive="normal")[0].notes == ()
    for ill, healthy in (
        *(("Parasitized", "Uninfected"), ("cancer", "non-cancer"), ("glaucoma", "non_glaucoma"), ("a", "wnl")),
        *(("COVID", "non-COVID"), ("lesion", "no_lesion"), ("fractured", "not fractured"), ("bad", "ok")),
        *(("auffällig", "unauffällig"), ("lesion", "nolesion"), ("Tumor", "ohne Befund"), ("blurred", "clear")),
    ):
        assert f"data.positive={ill}" in read(ill, healthy, classes=(ill, healthy))[0].notes[0], healthy
    for one, other in (
        ("lesion", "nodule"),
        ("bilateral", "unilateral"),
        ("melanoma", "nevus"),
        ("a", "unicorn"),
    ):
        assert read(one, other)[0].notes == (), other
    assert read("covid", "pneumonia")[0].notes == ()
    ages = [str(age) for age in range(20, 50)]
    assert "task=image_regression" in read(*ages)[0].notes[0]
    assert read(*map(str, range(10)))[0].notes == ()
    assert read(*ages, wanted=tuple(ages))[0].notes == ()
