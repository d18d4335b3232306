"""The best round, early stopping and the plateau: known answers, or the same as Lightning's and torch's."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim.lr_scheduler import ReduceLROnPlateau

from federated.server.checkpoint import Progress
from federated.server.model_selection import judge_round
from shared.config.trainer import TrainerConfig
from shared.tasks.selection import Monitor
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


def own(cfg: TrainerConfig) -> Monitor:
    return Monitor(*cfg.monitored("val/auroc"))


def follow(values: Series, cfg: TrainerConfig, *, name: str = "accuracy") -> tuple[Progress, list[str | None]]:
    progress, reasons = Progress(), []
    for number, value in enumerate(values, start=1):
        progress.round = number
        aggregates = {} if value is None else {"val": {name: value}}
        reasons.append(judge_round(progress, aggregates=aggregates, cfg=cfg, monitor=own(cfg)))
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
        judge_round(progress, aggregates={"val": {"loss": loss}}, cfg=trainer, monitor=own(trainer))
        assert progress.lr_scale == pytest.approx(optimizer.param_groups[0]["lr"])
    assert progress.lr_scale == pytest.approx(1e-3)


def test_without_a_plateau_schedule_the_rate_stays(make_config: MakeConfig) -> None:
    progress, _ = follow([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], make_config().trainer, name="loss")
    assert progress.lr_scale == 1.0


Rows = dict[str, float]


@pytest.mark.parametrize(
    ("rounds", "overrides", "best", "fell_back"),
    [
        ([{"auroc": 0.6, "loss": 9.0}, {"auroc": 0.7, "loss": 10.0}], [], 2, False),
        ([{"auroc": 0.5, "recall": 1.0}, {"auroc": 0.8, "recall": 0.6}], [], 2, False),  # first: all positive
        # Not defined on the rows of the first round in which somebody evaluated: the loss, from then on.
        ([{"loss": 2.0}, {"loss": 1.0}, {"auroc": 0.9, "loss": 3.0}], [], 2, True),
        ([{}, {"loss": 2.0}, {"loss": 3.0}], [], 2, True),
        ([{"auroc": 0.6, "loss": 2.0}, {"loss": 1.0}], [], 1, False),
        ([{"loss": 2.0}, {"loss": 3.0}], ["trainer.monitor=val/auroc"], 2, False),  # what is set stays
        ([{"loss": 1.0}, {"loss": 2.0}], ["trainer.mode=min"], 1, True),
        ([{"loss": 1.0}, {"loss": 2.0}], ["trainer.mode=max"], 1, True),  # it is of the auroc
        ([{"own": 1.0}, {"own": 2.0}], [], 2, False),  # no loss to fall back to: the newest
    ],
)
def test_the_tasks_own_monitor_gives_way_to_the_loss(
    rounds: list[Rows], overrides: list[str], best: int, fell_back: bool, make_config: MakeConfig
) -> None:
    cfg = make_config("trainer.monitor=null", *overrides).trainer
    progress = Progress()
    for number, values in enumerate(rounds, start=1):
        progress.round = number
        judge_round(progress, aggregates={"val": values} if values else {}, cfg=cfg, monitor=own(cfg))
    assert (progress.best_round, progress.fallback) == (best, fell_back)


def test_a_run_of_an_earlier_version_goes_on_as_it_began(make_config: MakeConfig) -> None:
    cfg = make_config("trainer.monitor=null").trainer
    progress = Progress(round=3, best_round=2, best_value=0.7)  # its file does not say whether it fell back
    began = Monitor("val/recall", "max")
    judge_round(progress, aggregates={"val": {"loss": 0.1}}, cfg=cfg, monitor=began)
    assert (progress.best_round, progress.best_value, progress.fallback) == (2, 0.7, False)
