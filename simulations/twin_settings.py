"""What is told before training of settings that mean something else, or nothing, to one of the twins."""

from __future__ import annotations

from shared.config.config import Config
from shared.runtime.counts import count_of
from simulations.budget import Budget


def warn_one_sided(cfg: Config) -> list[str]:
    """What is told of settings that the twins follow differently."""
    schedule, federation = cfg.trainer.scheduler, cfg.federation
    a_round_is_an_epoch = federation.local_epochs == federation.rounds_per_epoch == 1
    if schedule.name != "plateau" or a_round_is_an_epoch:
        return []
    return [
        f"trainer.scheduler.name=plateau: trainer.scheduler.patience={schedule.patience} counts epochs in the "
        f"pooled twin and rounds in the federated one (federation.local_epochs={federation.local_epochs}, "
        f"federation.rounds_per_epoch={federation.rounds_per_epoch})"
    ]


def describe(cfg: Config, budget: Budget) -> str:
    """What the twins of a seed will train, in a line that is printed before they do.

    Parameters
    ----------
    cfg : Config
        Of the comparison, as it was given.
    """
    federation, stopping = cfg.federation, cfg.trainer.early_stopping.enabled
    unused = f"trainer.max_epochs={cfg.trainer.max_epochs}"
    unused += " and trainer.early_stopping are" if stopping else " is"
    return (
        f"pooled: {count_of(budget.epochs, 'epoch')}, {budget.pooled:,} training examples; federated: "
        f"{count_of(federation.num_rounds, 'round')} of {count_of(federation.local_epochs, 'local epoch')}, "
        f"{budget.federated:,} training examples ({unused} not used)"
    )
