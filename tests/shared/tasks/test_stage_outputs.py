"""From a network to outputs: in evaluation mode, and restored after."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shared.data.images.datamodule import ImageDataModule
from shared.metrics.classification import ClassificationMetrics
from shared.model.backbones import build_network
from shared.tasks.stage_outputs import predict
from tests.images import Bare, classifier

CPU = torch.device("cpu")


def test_predictions_are_made_in_evaluation_mode(make_config, two_class_data):
    cfg = make_config(
        "model.dropout=0.9", "model.norm=batch", "data.augment.rotate=90", "data.eval_batch_size=7"
    )
    network = build_network(cfg, num_outputs=2)
    datamodule = ImageDataModule(two_class_data, cfg=cfg.data, seed=1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    first = predict(Bare(network.train()), datamodule, "test", device=CPU)
    assert network.training
    again = predict(Bare(network.eval()), datamodule, "test", device=CPU)
    assert not network.training
    np.testing.assert_array_equal(first.predictions, again.predictions)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    rows = two_class_data.indices("test")
    np.testing.assert_array_equal(first.targets, two_class_data.targets[rows])
    images = (torch.from_numpy(two_class_data.images[rows]).float() / 255 - 0.5) / 0.5
    np.testing.assert_allclose(first.predictions, network(images).softmax(1).detach(), rtol=1e-5, atol=1e-7)
    assert first.predictions.dtype == np.float32


def test_the_mode_is_restored_after_an_error(make_config, two_class_data):
    cfg = make_config()
    network = build_network(cfg, num_outputs=2).train()
    network.fc = torch.nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        predict(Bare(network), ImageDataModule(two_class_data, cfg=cfg.data, seed=1), "test", device=CPU)
    assert network.training


def test_a_stage_without_rows(make_config, two_class_data):
    cfg = make_config()
    train = two_class_data.indices("train")
    datamodule = ImageDataModule(two_class_data, cfg=cfg.data, seed=1, indices=train)
    outputs = predict(Bare(build_network(cfg, num_outputs=2)), datamodule, "val", device=CPU)
    assert outputs.predictions.shape == (0, 2)
    assert len(outputs) == 0
    assert not ClassificationMetrics(2).statistics(outputs)["ranking"].any()
    assert ClassificationMetrics(2).confusion(outputs).tolist() == [[0, 0], [0, 0]]


def test_outputs_of_a_batch(make_config):
    logits = torch.tensor([[0.0, 0.0], [-1.0, 1.0]], requires_grad=True).detach()
    outputs = classifier(make_config(), num_classes=2).outputs_of(logits, torch.tensor([0, 1]))
    np.testing.assert_allclose(outputs.predictions, torch.softmax(logits, dim=1))
    assert outputs.targets.tolist() == [0, 1]
