"""Settings of the training that a task cannot follow, rejected by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.config.problems import did_you_mean
from shared.runtime.errors import ConfigError, FederationError, bullet_list

if TYPE_CHECKING:
    from shared.config.config import Config
    from shared.config.trainer import TrainerConfig
    from shared.data.profile import Profile


def check_trainer(trainer: TrainerConfig, *, monitor: str, names: Sequence[str]) -> None:
    """Reject a monitor that a task does not measure, and an optimiser that cannot be.

    Parameters
    ----------
    monitor : str
        The task's own.
    names : sequence of str
        What it measures.

    Raises
    ------
    ConfigError
    """
    optimizer = trainer.optimizer
    if optimizer.name == "sgd" and optimizer.nesterov and not optimizer.momentum:
        raise ConfigError("trainer.optimizer.nesterov=true needs trainer.optimizer.momentum above 0, got 0")
    known = [f"{stage}/{name}" for stage in ("train", "val") for name in names]
    if (trainer.monitor or monitor) not in known:
        near = did_you_mean(trainer.monitor or monitor, known)
        raise ConfigError(
            f"trainer.monitor={trainer.monitor} is not measured; choose one of {', '.join(known)}{near}"
        )


def reject_settings(trainer: TrainerConfig, about: str, **neutral: Any) -> None:
    """Reject settings that would have no effect.

    Parameters
    ----------
    about : str
        What they have no effect on, for messages.
    **neutral
        By name, the value that a setting must have.

    Raises
    ------
    ConfigError
        Names every one that has another.
    """
    found = [
        f"trainer.{name}={getattr(trainer, name)} has no effect on {about}; set it to {value}"
        for name, value in neutral.items()
        if getattr(trainer, name) != value
    ]
    if found:
        raise ConfigError("the configuration is not valid:\n" + bullet_list(found))


def reject_pooled_only(cfg: Config) -> None:
    """Reject settings that only pooled training follows, where clients train too.

    Raises
    ------
    ConfigError
        Names every one.
    """
    devices, found = cfg.trainer.devices, []
    if cfg.trainer.ema_decay is not None:
        found.append(
            f"trainer.ema_decay={cfg.trainer.ema_decay} averages the weights of pooled training only; set "
            "trainer.ema_decay=null"
        )
    if cfg.resume is not None:
        found.append(
            f"resume={cfg.resume} continues pooled training only; set resume=null (fedtwin resume RUN resumes "
            "a federated run)"
        )
    if (isinstance(devices, int) and devices > 1) or (isinstance(devices, list) and len(devices) > 1):
        found.append(f"trainer.devices={devices}: a client trains on one device; set trainer.devices=1")
    if found:
        raise ConfigError("the configuration is not valid:\n" + bullet_list(found))


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


def require_counts(profiles: Mapping[str, Profile]) -> None:
    """Reject balanced weights where a site keeps its counts to itself.

    Raises
    ------
    FederationError
    """
    if silent := [name for name, profile in profiles.items() if not profile.counts]:
        raise FederationError(
            f"{', '.join(silent)} let no label_counts out, and trainer.class_weights=balanced needs them "
            f"of every site; set trainer.class_weights=none, or ask them (may_leave.counts in site.yaml)"
        )
