"""The Trainer: what it is built with, and what it says when it cannot be."""

from __future__ import annotations

import logging

import pytest
import torch

from shared.runtime.errors import ConfigError
from shared.training.trainer import build_trainer, evaluation_device, quiet_lightning


def test_what_both_modes_train_with(make_config, tmp_path):
    cfg = make_config("trainer.gradient_clip=0.5", "trainer.precision=bf16-mixed").trainer
    trainer = build_trainer(cfg, max_epochs=3, callbacks=[], root=tmp_path, limit_train_batches=2)
    assert trainer.max_epochs == 3
    assert trainer.gradient_clip_val == 0.5
    assert trainer.precision == "bf16-mixed"
    assert trainer.loggers == []
    assert trainer.limit_train_batches == 2
    assert trainer.num_sanity_val_steps == 0
    assert trainer.checkpoint_callback is None
    assert trainer.progress_bar_callback is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "override",
    ["trainer.accelerator=abacus", "trainer.precision=17-true", "trainer.devices=0", "trainer.devices=many"],
)
def test_what_cannot_be_had(make_config, override):
    with pytest.raises(ConfigError) as caught:
        build_trainer(make_config(override).trainer, max_epochs=1, callbacks=[])
    assert override in str(caught.value)
    assert "cannot be used here" in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(make_config):
    with pytest.raises(ConfigError, match=r"trainer.accelerator=gpu"):
        build_trainer(make_config("trainer.accelerator=gpu").trainer, max_epochs=1, callbacks=[])
    assert evaluation_device(make_config("trainer.accelerator=auto").trainer).type == "cpu"


def test_a_client_has_one_device(make_config):
    with pytest.raises(ConfigError, match=r"trainer.devices=2 gives 2 devices; .* set trainer.devices=1"):
        build_trainer(make_config("trainer.devices=2").trainer, max_epochs=1, callbacks=[])


def test_evaluation_stays_on_the_cpu_if_training_does(make_config):
    assert evaluation_device(make_config("trainer.accelerator=cpu").trainer).type == "cpu"


def test_hints_of_lightning_are_off():
    quiet_lightning()
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
        assert logging.getLogger(name).isEnabledFor(logging.WARNING)
