"""`LeanTrainer` takes the steps of Lightning's Trainer, to the last bit, whatever the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.fabric.plugins.precision import MixedPrecision as FabricMixedPrecision
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision

from federated.strategy.fedprox import ProximalTerm
from federated.strategy.scaffold import ScaffoldClient
from shared.config.compose import compose
from shared.config.config import Config
from shared.data.images.datamodule import ImageDataModule
from shared.data.images.dataset import ImageData
from shared.data.schema import Schema
from shared.metrics.point import MetricPoint
from shared.runtime.errors import ConfigError, DivergedError
from shared.tasks.base import FitContext
from shared.tasks.image_classification.module import LitClassifier
from shared.tasks.image_classification.spec import CLASS_WEIGHTS
from shared.training.collector import MetricsCollector
from shared.training.minimal_loop import LeanTrainer, lean_trainer
from shared.training.trainer import build_trainer
from tests.images import classifier

CPU = ["trainer.accelerator=cpu", "data.image_size=8", "data.batch_size=8", "data.channels=1"]


class Points(list[MetricPoint]):
    def add(self, points: Any) -> None:
        self.extend(points)


@pytest.fixture(scope="module")
def data() -> ImageData:
    rng = np.random.default_rng(3)
    labels = np.arange(50, dtype=np.int64) % 2
    images = rng.integers(0, 256, size=(50, 1, 8, 8), dtype=np.uint8)
    return ImageData(
        schema=Schema(classes=("0", "1")), splits=np.full(50, "train"), images=images, targets=labels
    )


Fit = Callable[..., tuple[LitClassifier, Points]]


@pytest.fixture
def fit(data: ImageData) -> Fit:
    def run(cfg: Config, *, lean: bool, mu: float = 0.0, module: LitClassifier | None = None) -> Any:
        module = module or classifier(cfg, num_classes=2)
        agreed = {CLASS_WEIGHTS: [0.5, 2.0]}
        module.begin_fit(
            FitContext(partition_id=3, total_epochs=6, epoch_offset=2, lr_scale=0.5, agreed=agreed)
        )
        datamodule = ImageDataModule(data, cfg=cfg.data, seed=1, partition_id=3, epoch_offset=2)
        points = Points()
        callbacks: list[Callback] = [MetricsCollector(points, round=2, client_id=3)]
        if mu:
            callbacks.append(ProximalTerm(mu))
        if lean:
            lean_trainer(cfg.trainer).fit(module, datamodule=datamodule, max_epochs=2, callbacks=callbacks)
        else:
            trainer = build_trainer(cfg.trainer, max_epochs=2, callbacks=callbacks, limit_val_batches=0)
            trainer.fit(module, datamodule=datamodule)
        return module, points

    return run


SCALED = [*CPU, "trainer.precision=16-mixed"]


def fit_scaled(
    cfg: Config, data: ImageData, *, module: LitClassifier, lean: bool, scale: float, callbacks: list[Callback]
) -> None:
    """A fit in 16 bits whose loss is scaled, on the CPU; there Lightning would choose bfloat16 instead."""
    module.begin_fit(FitContext(partition_id=3))
    datamodule = ImageDataModule(data, cfg=cfg.data, seed=1, partition_id=3)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    if lean:
        trainer = LeanTrainer(cfg.replace("trainer", precision="32-true").trainer)
        trainer._precision = trainer.strategy.precision = FabricMixedPrecision("16-mixed", "cpu", scaler)
        trainer.fit(module, datamodule=datamodule, max_epochs=2, callbacks=callbacks)
    else:
        L.Trainer(
            max_epochs=2,
            accelerator="cpu",
            plugins=[MixedPrecision("16-mixed", "cpu", scaler)],
            gradient_clip_val=cfg.trainer.gradient_clip,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
        ).fit(module, datamodule=datamodule)


class Gradients(Callback):
    """The largest gradient of each step, as callbacks see it."""

    def __init__(self) -> None:
        self.largest: list[float] = []

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any
    ) -> None:
        grads = [p.grad for p in pl_module.parameters() if p.grad is not None]
        self.largest.append(max(float(grad.abs().max()) for grad in grads))


OVERFLOWS = 2.0**24  # a scale at which the first gradients are infinite in 16 bits


@pytest.mark.parametrize("scale", [1024.0, OVERFLOWS])
@pytest.mark.parametrize("clip", ["null", "0.01"])
def test_callbacks_see_unscaled_gradients(clip: str, scale: float, data: ImageData) -> None:
    cfg = compose([*SCALED, f"trainer.gradient_clip={clip}"])
    seen, modules = [Gradients(), Gradients()], [classifier(cfg, num_classes=2) for _ in range(2)]
    for lean, module, gradients in zip((False, True), modules, seen, strict=True):
        callbacks = [ProximalTerm(0.3), gradients]
        fit_scaled(cfg, data, module=module, lean=lean, scale=scale, callbacks=callbacks)
    slow, fast = (module.state_dict() for module in modules)
    assert str(seen[0].largest) == str(seen[1].largest)  # NaN is NaN
    finite = [value for value in seen[1].largest if np.isfinite(value)]
    assert max(finite) < 10, "they are not scaled"
    assert (len(finite) < len(seen[1].largest)) == (scale == OVERFLOWS)
    assert all(torch.equal(one, fast[name]) for name, one in slow.items())


@pytest.mark.parametrize("lean", [False, True])
def test_a_step_that_overflows_is_none_for_scaffold(lean: bool, data: ImageData) -> None:
    cfg = compose(
        [
            *SCALED,
            "trainer.optimizer.momentum=0",
            "trainer.optimizer.lr=0.5",
            "trainer.optimizer.weight_decay=0",
        ]
    )
    module = classifier(cfg, num_classes=2)
    start = {key: p.detach().clone() for key, p in module.network.named_parameters()}
    gradients = Gradients()
    half = ScaffoldClient(
        module.network, server_control={key: torch.zeros_like(p) for key, p in start.items()}, own_control={}
    )
    half.before_fit(module)
    fit_scaled(cfg, data, module=module, lean=lean, scale=OVERFLOWS, callbacks=[gradients, *half.callbacks()])
    steps = int(np.isfinite(gradients.largest).sum())
    assert 0 < steps < len(gradients.largest)
    for key, value in half.after_fit(module).state.items():  # the mean gradient of the steps that were taken
        moved = (start[key] - module.network.get_parameter(key).detach()) / (steps * 0.5)
        torch.testing.assert_close(value, moved, rtol=1e-3, atol=1e-5)


def test_a_fit_without_a_step_leaves_the_control_variate(data: ImageData) -> None:
    cfg = compose(SCALED)
    module = classifier(cfg, num_classes=2)
    own = {key: torch.full_like(p, 0.5) for key, p in module.network.named_parameters()}
    half = ScaffoldClient(module.network, server_control=own, own_control=own)
    half.before_fit(module)
    fit_scaled(cfg, data, module=module, lean=True, scale=2.0**120, callbacks=half.callbacks())
    result = half.after_fit(module)
    assert all(torch.equal(result.state[key], own[key]) for key in own)
    assert all(not change.any() for change in result.arrays["control"].values())


@pytest.mark.parametrize("lean", [False, True])
def test_gradients_that_cannot_be_unscaled_are_named(lean: bool, data: ImageData) -> None:
    module = classifier(compose(CPU), num_classes=2)  # whose optimiser is fused
    with pytest.raises(ConfigError, match=r"and SGD with fused=True leaves them so .* set its fused=False"):
        fit_scaled(compose(SCALED), data, module=module, lean=lean, scale=1024.0, callbacks=[ProximalTerm(0.3)])


@pytest.mark.parametrize(
    ("overrides", "mu"),
    [
        ([], 0.0),
        (["trainer.optimizer.name=adamw", "trainer.scheduler.name=cosine", "trainer.gradient_clip=0.1"], 0.0),
        (["trainer.scheduler.name=one_cycle", "model.norm=batch", "model.dropout=0.4"], 0.3),
        (["trainer.scheduler.name=plateau", "model.norm=group", "trainer.label_smoothing=0.1"], 0.0),
        (["trainer.logit_adjustment=1", "data.augment.rotate=15", "data.augment.hflip=0.5"], 0.0),
        (["trainer.precision=bf16-mixed", "trainer.optimizer.nesterov=true"], 0.0),
        (["model=resnet18", "model.finetune_stages=1"], 0.0),
        (["data.batch_size=7"], 0.0),
    ],
    ids=["plain", "adamw", "everything", "plateau", "augmented", "bf16", "frozen", "lone-last-row"],
)
def test_the_weights_are_those_of_lightnings_trainer(overrides: list[str], mu: float, fit: Fit) -> None:
    cfg = compose([*CPU, *overrides])
    (slow, expected), (fast, got) = fit(cfg, lean=False, mu=mu), fit(cfg, lean=True, mu=mu)
    for (name, one), other in zip(slow.state_dict().items(), fast.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert measured(got) == pytest.approx(measured(expected), rel=1e-6, abs=1e-9)
    assert {point.num_examples for point in got} == {50}


def measured(points: Points) -> dict[tuple[str, int | None], float]:
    return {(point.name, point.epoch): point.value for point in points if point.name != "seconds"}


def test_nothing_of_one_fit_is_left_in_the_next(fit: Fit) -> None:
    cfg = compose([*CPU, "trainer.optimizer.name=adamw", "model.dropout=0.2"])
    start = {name: tensor.clone() for name, tensor in classifier(cfg, num_classes=2).state_dict().items()}
    module, _ = fit(cfg, lean=True)
    first = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.load_state_dict(start)
    again, _ = fit(cfg, lean=True, module=module)
    assert all(torch.equal(first[name], tensor) for name, tensor in again.state_dict().items())
    assert lean_trainer(cfg.trainer) is lean_trainer(cfg.trainer)


def test_a_loss_that_is_no_number_ends_the_fit(fit: Fit) -> None:
    with pytest.raises(DivergedError, match=r"lower trainer.optimizer.lr"):
        fit(compose([*CPU, "trainer.optimizer.lr=1e30"]), lean=True)


def test_a_client_trains_on_one_device() -> None:
    with pytest.raises(ConfigError, match=r"set trainer.devices=1"):
        LeanTrainer(compose([*CPU, "trainer.devices=2"]).trainer)
    with pytest.raises(ConfigError, match=r"trainer.precision=none-of-these cannot be used here"):
        LeanTrainer(compose([*CPU, "trainer.precision=none-of-these"]).trainer)


def test_a_lightning_hook_sees_what_it_expects(fit: Fit, data: ImageData) -> None:
    seen: list[Any] = []

    class Watch(Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            seen.append((trainer.current_epoch, trainer.max_epochs, trainer.world_size, pl_module.training))

    cfg = compose(CPU)
    module = classifier(cfg, num_classes=2)
    datamodule = ImageDataModule(data, cfg=cfg.data, seed=1)
    lean_trainer(cfg.trainer).fit(module, datamodule=datamodule, max_epochs=2, callbacks=[Watch()])
    assert seen == [(0, 2, 1, True), (1, 2, 1, True)]
