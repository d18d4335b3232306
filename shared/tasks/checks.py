"""Settings of the training that a task cannot follow, rejected by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.runtime.errors import ConfigError, bullet_list

if TYPE_CHECKING:
    from shared.config.trainer import TrainerConfig


def check_monitor(trainer: TrainerConfig, *, monitor: str, names: Sequence[str]) -> None:
    """Reject a monitor that a task does not measure.

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
    known = [f"{stage}/{name}" for stage in ("train", "val") for name in names]
    if (trainer.monitor or monitor) not in known:
        raise ConfigError(
            f"trainer.monitor={trainer.monitor} is not measured; choose one of {', '.join(known)}"
        )


def reject_settings(trainer: TrainerConfig, task: str, **neutral: Any) -> None:
    """Reject settings that would have no effect.

    Parameters
    ----------
    task : str
        Its name, for messages.
    **neutral
        By name, the value that a setting must have.

    Raises
    ------
    ConfigError
        Names every one that has another.
    """
    found = [
        f"trainer.{name}={getattr(trainer, name)} has no effect on task={task}; set it to {value}"
        for name, value in neutral.items()
        if getattr(trainer, name) != value
    ]
    if found:
        raise ConfigError("the configuration is not valid:\n" + bullet_list(found))
