"""`Monitor`: the metric that chooses the best model of a training, by one rule in both modes; imports no torch.

It is ``trainer.monitor``, or the task's own. The task's own, where it is not defined on the validation rows
(they lack a class), gives way to ``val/loss``. Without validation rows, or where what was configured is not
measured, the last epoch or round is the best.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from shared.metrics.catalogue import LOSS
from shared.metrics.spec import Mode
from shared.runtime.errors import ConfigError

if TYPE_CHECKING:
    from shared.config.trainer import TrainerConfig
    from shared.data.profile import Profile
    from shared.tasks.base import TaskSpec


class Monitor(NamedTuple):
    """A metric key, such as ``val/auroc``, and its better direction."""

    key: str
    mode: Mode

    @property
    def stage(self) -> str:
        """Of which rows."""
        return self.key.partition("/")[0]

    @property
    def name(self) -> str:
        """The metric."""
        return self.key.partition("/")[2]


class Choice(NamedTuple):
    """The monitor of a training, whether it can be measured, and what is to be told of it."""

    monitor: Monitor
    measured: bool = True
    note: str | None = None


def fallback(monitor: Monitor) -> Monitor:
    """What stands in for the task's own monitor where that is not defined, and the loss is."""
    return Monitor(f"{monitor.stage}/{LOSS}", "min")


def gives_way(monitor: Monitor, instead: Monitor, *, why: str) -> str:
    """What is told of a fallback."""
    return (
        f"{monitor.key}, which chooses the best model, is not defined ({why}); {instead.key} chooses it instead"
    )


def choose_monitor(
    trainer: TrainerConfig,
    *,
    spec: TaskSpec,
    profile: Callable[[str], Profile],
    num_examples: Callable[[str], int],
    begun_with: Monitor | None = None,
) -> Choice:
    """The monitor of a training whose rows are known.

    Parameters
    ----------
    profile, num_examples : callable
        Give the profile and the number of a stage's rows.
    begun_with : Monitor, optional
        Of a training that is resumed: what has chosen its best model so far.

    Raises
    ------
    ConfigError
        ``trainer.monitor`` is not defined on the rows.
    """
    monitor = begun_with or Monitor(*trainer.monitored(spec.monitor, metrics=spec.metrics))
    if not num_examples(monitor.stage):
        return Choice(monitor, False, "no validation rows; the last epoch is used as the best")
    why = spec.undefined(monitor.name, profile(monitor.stage), stage=monitor.stage)
    if why is None:
        return Choice(monitor)
    if trainer.monitor is not None:
        raise ConfigError(
            f"trainer.monitor={monitor.key} is not defined: {why}; choose another metric, such as "
            f"{monitor.stage}/{LOSS}"
        )
    if LOSS not in spec.names:
        return Choice(
            monitor, False, f"{monitor.key} is not defined ({why}); the last epoch is used as the best"
        )
    instead = fallback(monitor)
    return Choice(instead, note=gives_way(monitor, instead, why=why))
