"""The catalogue: one place that knows a metric's name, order and direction, and nothing heavy behind it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from shared.config.config import Config
from shared.data.schema import Schema
from shared.metrics import catalogue
from shared.runtime.errors import ConfigError
from shared.tasks.image_classification.spec import ClassificationSpec


def test_the_order_is_the_catalogues_and_unknown_names_come_last() -> None:
    names = ["seconds", "dice", "loss", "accuracy", "auroc", "alpha", "loss"]
    assert catalogue.in_order(names) == ["auroc", "accuracy", "loss", "seconds", "alpha", "dice"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auroc", "higher"),
        ("loss", "lower"),
        ("calibration_error", "lower"),
        ("seconds", "lower"),
        ("lr", None),
    ],
)
def test_directions(name: str, expected: str | None) -> None:
    assert catalogue.better(name) == expected


@pytest.mark.parametrize("name", ["my_loss", "reconstruction_error", "dice"])
def test_no_direction_is_guessed_from_a_name(name: str) -> None:
    assert catalogue.better(name) is None
    assert catalogue.better(name, mode="min") == "lower"
    assert catalogue.spec_of(name).mode is None
    assert catalogue.label(name) == name.replace("_", " ")


def test_a_monitor_without_a_known_direction_names_the_setting(make_config: object) -> None:
    cfg: Config = make_config("trainer.monitor=val/my_loss")  # type: ignore[operator]
    with pytest.raises(ConfigError, match=r"monitor=val/my_loss.*set trainer\.mode=min or trainer\.mode=max"):
        cfg.trainer.monitored("val/recall")
    assert cfg.replace("trainer", mode="min").trainer.monitored("val/recall") == ("val/my_loss", "min")
    own = cfg.replace("trainer", monitor=None).trainer
    assert own.monitored("val/recall") == ("val/recall", "max")


@pytest.mark.parametrize(
    ("measured", "shown"),
    [
        (["seconds", "auroc", "loss", "accuracy"], ["loss", "accuracy"]),
        (["r2", "mae", "rmse", "loss"], ["loss", "mae"]),
        (["loss", "label_accuracy", "auroc"], ["loss", "auroc"]),
        (["dice", "seconds"], ["dice"]),
    ],
)
def test_progress_is_told_in_what_the_task_measures(measured: list[str], shown: list[str]) -> None:
    assert catalogue.progress_metrics(measured) == shown


def test_of_two_classes_no_metric_chooses_that_is_best_when_everything_is_called_positive() -> None:
    assert [catalogue.default_monitor(number) for number in (2, 3, 5)] == [
        "val/auroc",
        "val/accuracy",
        "val/accuracy",
    ]


def test_the_json_has_everything_in_order() -> None:
    listed = json.loads(json.dumps(catalogue.as_json(), allow_nan=False))
    assert [one["name"] for one in listed] == catalogue.in_order(one["name"] for one in listed)
    by_name = {one["name"]: one for one in listed}
    assert (by_name["auroc"]["low"], by_name["auroc"]["high"]) == (0.0, 1.0)
    assert (by_name["loss"]["low"], by_name["loss"]["high"]) == (0.0, None)
    assert by_name["bytes_up"]["unit"] == "B"


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, shared.metrics.catalogue, shared.metrics.headline"
    code += "; print([m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_metrics_of_the_positive_class_alone_name_it() -> None:
    names = ["recall", "precision", "f1", "average_precision", "auroc", "accuracy", "loss"]
    with catalogue.naming("covid"):
        assert [catalogue.label(name).endswith(" (covid)") for name in names] == [True] * 4 + [False] * 3
    assert catalogue.label("recall") == "recall"
    two, three = (ClassificationSpec(Schema(classes=names)) for names in (("a", "b"), ("a", "b", "c")))
    assert [spec.label for spec in two.metrics if spec.name == "recall"] == ["recall (b)"]
    assert three.metrics == catalogue.CLASSIFICATION
    assert not any(spec.of_positive for spec in catalogue.MULTI_LABEL)
