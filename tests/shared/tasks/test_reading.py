"""Data and its summary: counted by side, said before training, kept with the run."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.data.dataset import Dataset, Groups, Strata
from shared.data.schema import Column, Schema
from shared.tasks.image_classification.spec import ClassificationSpec
from shared.tasks.image_multilabel.spec import MultiLabelSpec
from shared.tasks.image_regression.spec import RegressionSpec
from shared.tasks.plain_spec import PlainSpec
from shared.tasks.reading import summarize

SPLITS = np.array(["train", "train", "train", "val", "test"])


def dataset_of(targets: Any, schema: Schema, **more: Any) -> Dataset:
    return Dataset(schema=schema, targets=np.array(targets), splits=SPLITS, **more)


def test_classes_and_patients_by_side() -> None:
    schema = Schema(classes=("covid", "healthy"))
    groups = Groups(np.array([0, 0, 1, 2, 3]), ("a", "b", "c", "d"))
    found = summarize(dataset_of([0, 1, 1, 0, 1], schema, groups=groups), ClassificationSpec(schema))
    assert found.rows == {"train": 3, "val": 1, "test": 1}
    assert found.table("label") == [("covid", [1, 1, 0, 2]), ("healthy", [2, 0, 1, 3])]
    assert found.groups == {"train": 2, "val": 1, "test": 1}
    assert found.positive == "healthy"


def test_a_side_without_a_label_is_said_where_a_row_has_several() -> None:
    schema = Schema(classes=("mass", "nodule"))
    values = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]], dtype=np.float32)
    strata = Strata(np.zeros(5, dtype=np.int64), ("rare",), noun="label", on_every_side=False)
    found = summarize(dataset_of(values, schema, strata=strata), MultiLabelSpec(schema))
    assert found.counts["label"]["mass"] == {"train": 2, "val": 0, "test": 1}
    assert found.positive is None
    assert [note.split(":")[0] for note in found.notes] == [
        "no val row has the label 'mass', 'nodule'",
        "no test row has the label 'nodule'",
    ]


def test_numbers_have_spans_and_rows_of_an_own_task_their_strata() -> None:
    schema = Schema(targets=(Column("age", "numeric"),))
    found = summarize(dataset_of([[3.0], [80.0], [5.0], [7.0], [9.0]], schema), RegressionSpec(schema))
    assert found.spans == {"age": {"train": (3.0, 80.0), "val": (7.0, 7.0), "test": (9.0, 9.0)}}
    strata = Strata(np.array([0, 1, 1, 0, 1]), ("low", "high"), noun="bin")
    own = summarize(dataset_of(np.zeros((5, 0)), Schema(), strata=strata), PlainSpec())
    assert own.table("bin") == [("low", [1, 1, 0, 2]), ("high", [2, 0, 1, 3])]
