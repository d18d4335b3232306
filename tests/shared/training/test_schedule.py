"""The learning rate: its formulas, and that the optimiser follows them, in one fit and over rounds."""

from __future__ import annotations

import math

import pytest
from lightning.pytorch.callbacks import Callback

from shared.config.trainer import SchedulerConfig
from shared.training.schedule import lr_factor


class Rates(Callback):
    """Keeps the learning rate of every step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def schedule(name, warmup=0.25):
    return SchedulerConfig(name=name, warmup=warmup, patience=3, factor=0.1)


def test_cosine_by_hand():
    values = [lr_factor(schedule("cosine"), progress) for progress in (0, 0.25, 0.5, 1, 1.5)]
    assert values == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, 0, 0], abs=1e-12)


def test_one_cycle_by_hand():
    values = [lr_factor(schedule("one_cycle"), progress) for progress in (0, 0.125, 0.25, 0.625, 1, 2)]
    assert values == pytest.approx([0.04, 0.52, 1, (1 + 1e-5) / 2, 1e-5, 1e-5], abs=1e-9)
    assert lr_factor(schedule("one_cycle", warmup=0.5), 0.5) == 1.0


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_the_optimiser_follows_the_formula(make_config, fit, name):
    cfg = make_config(f"trainer.scheduler.name={name}", "trainer.optimizer.lr=0.02", "trainer.max_epochs=3")
    rates = Rates()
    fit(cfg, epochs=3, callbacks=[rates])
    expected = [0.02 * lr_factor(cfg.trainer.scheduler, step / 9) for step in range(9)]  # 3 batches an epoch
    assert rates.seen == pytest.approx(expected)


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_a_round_starts_where_the_last_one_ended(make_config, fit, name):
    cfg = make_config(f"trainer.scheduler.name={name}", "trainer.optimizer.lr=0.02")
    seen = []
    for number in range(3):
        rates = Rates()
        fit(cfg, epochs=2, callbacks=[rates], epoch_offset=2 * number, total_epochs=6)
        seen += rates.seen
    assert seen == pytest.approx([0.02 * lr_factor(cfg.trainer.scheduler, step / 18) for step in range(18)])


def test_no_schedule(make_config, fit):
    rates = Rates()
    fit(make_config("trainer.optimizer.lr=0.02"), callbacks=[rates])
    assert rates.seen == [0.02] * 6


def test_a_plateau_lowers_the_rate(make_config, fit):
    # A rate that changes next to nothing: val/loss stays, and after one epoch more than the patience it falls.
    cfg = make_config(
        "trainer.optimizer.lr=1e-6",
        "trainer.scheduler.name=plateau",
        "trainer.scheduler.patience=1",
        "trainer.scheduler.factor=0.5",
    )
    rates = Rates()
    fit(cfg, epochs=4, callbacks=[rates], flags={"limit_val_batches": 1.0})
    assert rates.seen[::3] == pytest.approx([1e-6, 1e-6, 1e-6, 5e-7], rel=1e-6)


def test_a_plateau_without_validation_rows_follows_the_training_loss(make_config, fit):
    cfg = make_config(
        "trainer.optimizer.lr=1e-6",
        "trainer.scheduler.name=plateau",
        "trainer.scheduler.patience=0",
        "trainer.scheduler.factor=0.5",
    )
    rates = Rates()
    fit(cfg, epochs=3, callbacks=[rates])
    assert rates.seen[::3] == pytest.approx([1e-6, 1e-6, 5e-7], rel=1e-6)


def test_a_plateau_that_the_server_has_seen(make_config, fit):
    cfg = make_config("trainer.optimizer.lr=0.02", "trainer.scheduler.name=plateau")
    rates = Rates()
    fit(cfg, epochs=2, callbacks=[rates], total_epochs=4, lr_scale=0.25)
    assert rates.seen == [0.005] * 6
