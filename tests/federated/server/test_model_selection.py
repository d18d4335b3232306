"""The best round, early stopping and the plateau: known answers, or the same as Lightning's and torch's."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim.lr_scheduler import ReduceLROnPlateau

from federated.server.checkpoint import Progress
from federated.server.model_selection import judge_round
from shared.config.trainer import TrainerConfig
from tests.federated.federation_kit import MakeConfig

Series = list[float | None]


@pytest.fixture(scope="session")
def trainer(make_config: MakeConfig) -> TrainerConfig:
    overrides = [
        "trainer.monitor=val/accuracy",
        "trainer.early_stopping.patience=2",
        "trainer.scheduler.patience=1",
    ]
    return make_config(*overrides, "trainer.scheduler.name=plateau").trainer


def follow(values: Series, cfg: TrainerConfig, *, name: str = "accuracy") -> tuple[Progress, list[str | None]]:
    progress, reasons = Progress(), []
    for number, value in enumerate(values, start=1):
        progress.round = number
        aggregates = {} if value is None else {"val": {name: value}}
        reasons.append(judge_round(progress, aggregates=aggregates, cfg=cfg, monitor="val/accuracy"))
    return progress, reasons


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([0.5, 0.6, 0.6, 0.4], 2),  # among equals the first
        ([0.1, 0.2, 0.3], 3),
        ([None, None], 2),  # nobody ever evaluated: the newest
        ([0.5, None, None], 1),  # nobody evaluated after: the best that is known
        ([None, 0.0], 2),
    ],
)
def test_best_round(values: Series, best: int, trainer: TrainerConfig) -> None:
    progress, _ = follow(values, trainer)
    assert progress.best_round == best
    known = [value for value in values if value is not None]
    assert progress.best_value == (max(known) if known else None)


def test_a_loss_is_best_when_low(make_config: MakeConfig) -> None:
    cfg = make_config("trainer.monitor=val/loss").trainer
    assert follow([0.5, 0.3, 0.4], cfg, name="loss")[0].best_round == 2


def test_the_reason_to_stop(trainer: TrainerConfig) -> None:
    _, reasons = follow([0.5, 0.6, 0.6, 0.4, 0.7], trainer)
    assert [reason is not None for reason in reasons] == [False, False, False, True, False]
    assert reasons[3] == "val/accuracy did not improve in the last 2 rounds; best 0.6000 in round 2"


@pytest.mark.parametrize("min_delta", [0.0, 0.05])
def test_stopping_is_lightnings(min_delta: float, make_config: MakeConfig) -> None:
    cfg = make_config(
        "trainer.monitor=val/accuracy",
        "trainer.early_stopping.patience=3",
        f"trainer.early_stopping.min_delta={min_delta}",
    ).trainer
    values = [0.5, 0.52, 0.54, 0.56, 0.57, 0.58, 0.59, 0.60, 0.61, 0.61, 0.61, 0.61, 0.61]
    theirs = EarlyStopping("val/accuracy", mode="max", patience=3, min_delta=min_delta)
    stops = [theirs._evaluate_stopping_criteria(torch.tensor(value))[0] for value in values]
    _, reasons = follow(list(values), cfg)
    assert [reason is not None for reason in reasons] == stops
    assert any(stops)


def test_the_plateau_is_torchs(trainer: TrainerConfig) -> None:
    losses = [1.0, 0.9, 0.89999, 0.95, 0.9, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = trainer.scheduler
    theirs = ReduceLROnPlateau(optimizer, factor=schedule.factor, patience=schedule.patience)
    progress = Progress()
    for number, loss in enumerate(losses, start=1):
        theirs.step(loss)
        progress.round = number
        judge_round(progress, aggregates={"val": {"loss": loss}}, cfg=trainer, monitor="val/accuracy")
        assert progress.lr_scale == pytest.approx(optimizer.param_groups[0]["lr"])
    assert progress.lr_scale == pytest.approx(1e-3)


def test_without_a_plateau_schedule_the_rate_stays(make_config: MakeConfig) -> None:
    progress, _ = follow([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], make_config().trainer, name="loss")
    assert progress.lr_scale == 1.0
