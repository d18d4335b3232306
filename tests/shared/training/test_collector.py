"""Points: what a fit hands to a sink, when, and with which names."""

from __future__ import annotations

import math

import pytest
import torch

from shared.data.images.datamodule import ImageDataModule
from shared.metrics.classification import ClassificationMetrics
from shared.tasks.stage_outputs import predict
from shared.training.collector import MetricsCollector
from shared.training.trainer import build_trainer
from tests.images import classifier

METRICS = set(ClassificationMetrics(2).names)


class ListSink:
    def __init__(self):
        self.calls = []

    def add(self, points):
        self.calls.append(list(points))

    @property
    def points(self):
        return [point for call in self.calls for point in call]


@pytest.fixture
def collect(two_class_data):
    def run(cfg, *, epochs=2, indices=None, flags=None, **more):
        sink = ListSink()
        datamodule = ImageDataModule(two_class_data, cfg=cfg.data, seed=cfg.seed, indices=indices)
        module = classifier(cfg, num_classes=2)
        trainer = build_trainer(
            cfg.trainer, max_epochs=epochs, callbacks=[MetricsCollector(sink, **more)], **(flags or {})
        )
        trainer.fit(module, datamodule=datamodule)
        return sink, module, datamodule

    return run


def test_each_epoch_is_handed_over_when_it_is_known(make_config, collect):
    sink, *_ = collect(make_config())
    assert [(call[0].stage, call[0].epoch) for call in sink.calls] == [
        ("val", 1),
        ("train", 1),
        ("val", 2),
        ("train", 2),
    ]
    for call in sink.calls:
        stage = call[0].stage
        assert {point.name for point in call} == (METRICS | {"lr", "seconds"} if stage == "train" else METRICS)
        assert {point.num_examples for point in call} == {97 if stage == "train" else 40}
        assert {(point.round, point.client_id) for point in call} == {(None, None)}
        assert len({point.epoch for point in call}) == 1
        assert all(math.isfinite(point.value) and type(point.value) is float for point in call)
        assert all(point.time.tzinfo is not None for point in call)


def test_the_learning_rate_is_a_point(make_config, collect):
    sink, *_ = collect(make_config("trainer.optimizer.lr=0.03"))
    assert [point.value for point in sink.points if point.name == "lr"] == pytest.approx([0.03, 0.03])


def test_seconds_are_positive_and_of_one_epoch(make_config, collect):
    sink, *_ = collect(make_config())
    seconds = [point.value for point in sink.points if point.name == "seconds"]
    assert len(seconds) == 2
    assert all(0 < value < 60 for value in seconds)


def test_validation_values_are_those_of_the_model(make_config, collect):
    sink, module, datamodule = collect(make_config(), epochs=3)
    last = {point.name: point.value for point in sink.calls[-2]}
    expected = ClassificationMetrics(2).values(predict(module, datamodule, "val", device=torch.device("cpu")))
    assert last == pytest.approx(expected, rel=1e-4)


def test_training_values_are_those_of_the_whole_epoch(make_config, collect):
    # A rate that moves nothing: every batch is judged by the same weights.
    sink, module, datamodule = collect(make_config("trainer.optimizer.lr=1e-30"), epochs=1)
    values = {point.name: point.value for point in sink.points if point.stage == "train"}
    scores = predict(module, datamodule, "train", device=torch.device("cpu"))
    expected = ClassificationMetrics(2).values(scores)
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-4)


def test_a_client_s_points_bear_its_id_and_round(make_config, collect):
    sink, *_ = collect(make_config(), round=3, client_id=1, flags={"limit_val_batches": 0})
    assert {point.stage for point in sink.points} == {"train"}
    assert {(point.round, point.client_id) for point in sink.points} == {(3, 1)}
    assert [point.epoch for point in sink.points if point.name == "loss"] == [1, 2]


def test_rows_of_one_class(make_config, collect, two_class_data):
    rows = (two_class_data.targets == 0).nonzero()[0]
    sink, *_ = collect(make_config(), indices=rows, epochs=1)
    always = {"accuracy", "loss", "calibration_error"}
    assert {point.name for point in sink.calls[0]} == always
    assert {point.name for point in sink.calls[1]} == always | {"lr", "seconds"}
    assert all(math.isfinite(point.value) for point in sink.points)


def test_no_validation_rows(make_config, collect, two_class_data):
    train = two_class_data.indices("train")
    sink, *_ = collect(make_config(), indices=train, epochs=1, flags={"limit_val_batches": 0})
    assert {point.stage for point in sink.points} == {"train"}
