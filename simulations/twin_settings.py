"""Settings that mean something else, or nothing, to one of the twins: refused, or told before training."""

from __future__ import annotations

from shared.config.config import Config
from shared.runtime.counts import count_of
from shared.runtime.errors import ConfigError
from simulations.budget import Budget


def reject_one_sided(cfg: Config) -> None:
    """Reject settings of a comparison that only one of the twins could follow.

    Raises
    ------
    ConfigError
    """
    if cfg.federation.early_stopping:
        raise ConfigError(
            "federation.early_stopping=true ends the federated twin alone, and twins see the same number of "
            "training examples; set federation.early_stopping=false"
        )


def reject_untested(cfg: Config) -> None:
    """Reject a comparison that leaves the test rows alone.

    Raises
    ------
    ConfigError
    """
    if not cfg.trainer.test:
        raise ConfigError("trainer.test=false: a comparison measures its gap on the test rows; leave it out")


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
