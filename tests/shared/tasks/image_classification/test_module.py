"""The model's training: repeatable to the last bit, with the learning rate and the loss that were asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters
from torch.nn import functional

from shared.config.compose import compose
from shared.data.images.datamodule import ImageDataModule
from shared.runtime.errors import ConfigError, DivergedError, WeightsError
from shared.tasks.image_classification.spec import balanced_weights
from shared.tasks.task import learner_of
from shared.training.minimal_loop import lean_trainer
from shared.training.trainer import build_trainer
from tests.images import classifier

ALL_RANDOM = ("model.dropout=0.3", "data.augment.rotate=10", "data.augment.shift=0.1", "model.norm=batch")


def same(one, two):
    states = one.state_dict(), two.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


# --- repeatable ---------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights(make_config, fit):
    cfg = make_config(*ALL_RANDOM)
    torch.manual_seed(1)
    first = fit(cfg)
    torch.manual_seed(2)
    np.random.seed(2)
    assert same(first, fit(cfg))
    assert not same(first, fit(make_config(*ALL_RANDOM, "seed=43")))
    assert not same(first, fit(cfg, partition_id=1))


def test_validation_does_not_touch_training(make_config, fit):
    cfg = make_config(*ALL_RANDOM)
    assert same(fit(cfg), fit(cfg, flags={"limit_val_batches": 1.0}))


def test_rounds_of_one_epoch_equal_one_long_training(make_config, fit):
    # Plain SGD and a schedule over the whole: what a federation of one client does.
    cfg = make_config(
        *ALL_RANDOM, "trainer.optimizer.momentum=0", "trainer.scheduler.name=cosine", "trainer.max_epochs=3"
    )
    whole = fit(cfg, epochs=3)
    state = None
    for number in range(3):
        module = classifier(cfg, num_classes=2, total_epochs=3, epoch_offset=number)
        if state is not None:
            module.network.load_state_dict(state)
        fit(cfg, epochs=1, epoch_offset=number, module=module)
        state = module.network.state_dict()
    assert same(whole, module)


def test_nothing_but_the_network_is_in_the_state(make_config):
    module = classifier(make_config(), num_classes=2, class_weights=[1.0, 2.0])
    assert {key.split(".")[0] for key in module.state_dict()} == {"network"}


# --- optimiser ----------------------------------------------------------------------------------------


def test_one_step_of_sgd_by_hand(make_config, two_class_data, fit):
    sgd = ("trainer.optimizer.lr=0.05", "trainer.optimizer.momentum=0", "trainer.optimizer.weight_decay=0.1")
    cfg = make_config("data.batch_size=200", *sgd)
    start = classifier(cfg, num_classes=2)
    datamodule = ImageDataModule(two_class_data, cfg=cfg.data, seed=cfg.seed)
    rows = datamodule.rows["train"]
    images = datamodule.eval_transform(torch.from_numpy(two_class_data.images[rows]))
    functional.cross_entropy(start(images), torch.from_numpy(two_class_data.targets[rows])).backward()
    expected = {
        name: parameter - 0.05 * (parameter.grad + 0.1 * parameter)
        for name, parameter in start.network.named_parameters()
    }
    fitted = fit(cfg, epochs=1)
    for name, parameter in fitted.network.named_parameters():
        torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=1e-6)


def test_adamw(make_config):
    cfg = make_config(
        "trainer.optimizer.name=adamw", "trainer.optimizer.lr=0.05", "trainer.optimizer.weight_decay=0.01"
    )
    optimizer = classifier(cfg, num_classes=2).configure_optimizers()
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.defaults["lr"] == 0.05
    assert optimizer.defaults["weight_decay"] == 0.01


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_fused_optimizers_agree_with_plain_ones(make_config, optimizer):
    cfg = make_config(f"trainer.optimizer.name={optimizer}", "trainer.optimizer.weight_decay=0.01")
    networks = [classifier(cfg, num_classes=2) for _ in range(2)]
    fused, plain = (network.configure_optimizers() for network in networks)
    assert fused.param_groups[0]["fused"]
    plain.param_groups[0].update(fused=False, foreach=False)
    for step in range(20):
        torch.manual_seed(step)
        for one, other in zip(*(network.parameters() for network in networks), strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        fused.step()
        plain.step()
    for one, other in zip(*(network.parameters() for network in networks), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_frozen_stages_do_not_move_at_all(make_config, fit, norm):
    cfg = make_config(
        "model=resnet18",
        "model.finetune_stages=1",
        f"model.norm={norm}",
        "model.dropout=0.2",
        "trainer.optimizer.weight_decay=0.1",
    )
    before = classifier(cfg, num_classes=2).network.state_dict()
    after = fit(cfg, flags={"limit_val_batches": 1.0, "limit_train_batches": 2}).network.state_dict()
    moved = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"layer4", "fc"}


# --- loss ---------------------------------------------------------------------------------------------


def test_balanced_weights_by_hand():
    assert balanced_weights([30, 10]) == pytest.approx([40 / 60, 40 / 20])
    assert balanced_weights([5, 5]) == [1.0, 1.0]
    assert balanced_weights([6, 0, 2]) == pytest.approx([8 / 12, 0, 8 / 4])
    counts = [7, 13, 29]
    weights = balanced_weights(counts)
    assert sum(weight * count for weight, count in zip(weights, counts, strict=True)) == pytest.approx(
        sum(counts)
    )


def test_weights_and_smoothing_are_in_the_training_loss_alone(make_config, two_class_data):
    seen = {}
    for weights, smoothing in (((1.0, 1.0), 0.0), ((3.0, 0.5), 0.2)):
        cfg = make_config(
            "data.batch_size=200", f"trainer.label_smoothing={smoothing}", "trainer.optimizer.lr=1e-30"
        )
        module = classifier(cfg, num_classes=2, class_weights=weights)
        datamodule = ImageDataModule(two_class_data, cfg=cfg.data, seed=1)
        trainer = build_trainer(cfg.trainer, max_epochs=1, callbacks=[])
        trainer.fit(module, datamodule=datamodule)
        rows = datamodule.rows["train"]
        with torch.no_grad():
            logits = module(datamodule.eval_transform(torch.from_numpy(two_class_data.images[rows])))
        expected = functional.cross_entropy(
            logits,
            torch.from_numpy(two_class_data.targets[rows]),
            weight=torch.tensor(weights),
            label_smoothing=smoothing,
        )
        assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(float(expected), rel=1e-5)
        seen[smoothing] = float(trainer.callback_metrics["val/loss"])
    assert seen[0.0] == pytest.approx(seen[0.2])


def test_the_logits_are_adjusted_by_the_shares_of_the_rows_trained_on(make_config, two_class_data):
    changes = ("data.batch_size=200", "trainer.logit_adjustment=0.5", "trainer.optimizer.lr=1e-30")
    cfg = make_config(*changes)
    # 3 rows of class 0 and 5 of class 1, as a client may have them: with one more of each, 4 and 6 of 10.
    labels = two_class_data.targets
    train = two_class_data.indices("train")
    few = np.concatenate([train[labels[train] == 0][:3], train[labels[train] == 1][:5]])
    datamodule = ImageDataModule(two_class_data, cfg=cfg.data, seed=1, indices=few)
    module = classifier(cfg, num_classes=2)
    trainer = build_trainer(cfg.trainer, max_epochs=1, callbacks=[], limit_val_batches=0)
    trainer.fit(module, datamodule=datamodule)
    with torch.no_grad():
        logits = module(datamodule.eval_transform(torch.from_numpy(two_class_data.images[few])))
    adjusted = logits + 0.5 * torch.tensor([0.4, 0.6]).log()
    expected = functional.cross_entropy(adjusted, torch.from_numpy(labels[few]))
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(float(expected), rel=1e-5)
    assert {key.split(".")[0] for key in module.state_dict()} == {"network"}


def test_a_training_that_diverges_says_so(make_config, fit):
    with pytest.raises(
        DivergedError, match=r"train/loss is (nan|inf) in epoch 1: .* trainer.optimizer.lr \(now 1000000.0\)"
    ):
        fit(make_config("trainer.optimizer.lr=1e6"), epochs=5)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_other_precisions(make_config, fit, precision):
    cfg = make_config(f"trainer.precision={precision}", "model.norm=batch", "trainer.class_weights=balanced")
    plain = fit(make_config("model.norm=batch"), class_weights=[1.0, 1.2])
    module = fit(cfg, flags={"limit_val_batches": 1.0}, class_weights=[1.0, 1.2]).float()
    for one, two in zip(module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0.5, atol=0.05)


@pytest.mark.slow  # it compiles for half a minute
@pytest.mark.parametrize("lean", [False, True])
def test_a_compiled_network_ends_at_the_same_weights(make_config, fit, two_class_data, lean):
    def weights(cfg):
        if not lean:
            return fit(cfg).network.state_dict()
        module = classifier(cfg, num_classes=2)
        datamodule = ImageDataModule(two_class_data, cfg=cfg.data, seed=cfg.seed)
        lean_trainer(cfg.trainer).fit(module, datamodule=datamodule, max_epochs=1, callbacks=[])
        return module.network.state_dict()

    plain = weights(make_config())
    torch._dynamo.reset()
    counters.clear()
    compiled = weights(make_config("trainer.compile=true"))
    assert counters["stats"]["unique_graphs"] > 0
    torch.testing.assert_close(compiled, plain, rtol=0, atol=1e-5)


# --- settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("monitor", ["val/foo", "test/accuracy", "loss", "train/lr"])
def test_a_monitor_that_is_not_measured(make_config, monitor):
    with pytest.raises(ConfigError) as caught:
        classifier(make_config(f"trainer.monitor={monitor}"), num_classes=2)
    text = str(caught.value)
    assert f"trainer.monitor={monitor} is not measured" in text
    assert all(name in text for name in ("train/loss", "val/recall", "val/auroc", "val/calibration_error"))


@pytest.mark.parametrize("threshold", ["val", "0.3"])
def test_a_threshold_is_for_two_classes(make_config, threshold):
    cfg = make_config(f"trainer.threshold={threshold}")
    classifier(cfg, num_classes=2)
    with pytest.raises(ConfigError, match=f"trainer.threshold={threshold} is for 2 classes, got 3"):
        classifier(cfg, num_classes=3)


def test_nesterov_without_momentum(make_config):
    cfg = make_config("trainer.optimizer.nesterov=true", "trainer.optimizer.momentum=0")
    with pytest.raises(
        ConfigError, match=r"trainer.optimizer.nesterov=true needs trainer.optimizer.momentum above 0"
    ):
        classifier(cfg, num_classes=2)


def test_weights_that_are_not_there(make_config, tmp_path):
    with pytest.raises(WeightsError, match="there is no file"):
        classifier(make_config(f"model.weights={tmp_path / 'none.pt'}"), num_classes=2)


def test_a_model_for_tables_is_refused_before_an_image_is_read():
    with pytest.raises(ConfigError, match=r"cnn or a ResNet, got model\.name=mlp"):
        learner_of(compose(["data=idx", "data.path=nowhere", "model=mlp"]))
