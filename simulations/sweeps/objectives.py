"""`Objectives`: what a search seeks, measured on validation rows and in costs; the test rows have no say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.config.config import Config
from shared.config.problems import did_you_mean
from shared.metrics.catalogue import spec_of
from shared.metrics.spec import Mode
from shared.runtime.errors import ConfigError
from shared.sweeps.search_plan import SEARCH, Objective
from shared.tasks.base import TaskSpec
from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from shared.tracking.twins import members_of
from simulations.report.history import cost
from simulations.sweeps.cells import labels_of


class Unmeasured(Exception):
    """A trial has no value of an objective; says why."""


@dataclass(frozen=True)
class Objectives:
    """The objectives of a search, and their directions.

    Attributes
    ----------
    key : str
        Such as ``val/accuracy``.
    mode : {"min", "max"}
        Its better direction.
    """

    names: tuple[Objective, ...]
    key: str
    mode: Mode

    @property
    def directions(self) -> list[Literal["minimize", "maximize"]]:
        """As Optuna names them."""
        return ["maximize" if name == "metric" and self.mode == "max" else "minimize" for name in self.names]

    def labels(self) -> list[str]:
        """For people."""
        return labels_of(self.names, key=self.key)

    def of_trial(self, run: RunRow, *, store: Store) -> list[float]:
        """The values of a completed trial.

        Raises
        ------
        Unmeasured
        """
        runs = [run] if run.training_mode != "compare" else members_of(store, run)
        by_mode = {one.training_mode: one for one in runs if one.training_mode != "local"}
        own = by_mode.get("federated") or by_mode["centralized"]
        values = []
        for name in self.names:
            if name == "metric":
                values.append(self._value(own, store=store))
            elif name == "gap":
                pooled = self._value(by_mode["centralized"], store=store)
                difference = pooled - self._value(own, store=store)
                values.append(difference if self.mode == "max" else -difference)
            else:
                spent = cost(store, own.id)
                values.append(float(spent.bytes_down + spent.bytes_up) if name == "bytes" else spent.seconds)
        return values

    def curve(self, run: RunRow, *, store: Store) -> dict[int, float]:
        """The metric by round or epoch, as far as it is written; of a comparison, its federated twin's."""
        runs = [run] if run.training_mode != "compare" else store.runs.children(run.id)
        wanted = "federated" if run.training_mode == "compare" else run.training_mode
        own = next((one for one in runs if one.training_mode == wanted), None)
        if own is None:
            return {}
        points, _ = store.series.curve(own.id, stage="val", name=self.key.partition("/")[2])
        steps = {
            (epoch if own.training_mode == "centralized" else round_): value
            for round_, epoch, value, _ in points
        }
        return {step: value for step, value in sorted(steps.items()) if step and value is not None}

    def _value(self, run: RunRow, *, store: Store) -> float:
        # Of the model that would be tested.
        name = self.key.partition("/")[2]
        value: Any
        if (run.config.get("trainer") or {}).get("test_model") == "last":
            whole = [row for row in store.metrics.latest(run.id) if row.client_id is None]
            value = next((row.value for row in whole if (row.stage, row.name) == ("val", name)), None)
        else:
            value = (run.summary.get("best") or {}).get(name)
        if value is None or value != value:
            raise Unmeasured(f"{self.key} of run {run.id} is not measured on its validation rows")
        return float(value)


def find_metric(cfg: Config, *, spec: TaskSpec, given: str | None) -> tuple[str, Mode]:
    """The metric of a search and its better direction, checked before anything is trained.

    Raises
    ------
    ConfigError
    """
    mode: Mode | None
    key, mode = cfg.trainer.monitored(spec.monitor, metrics=spec.metrics)
    if given is not None and given != key:
        monitor, key, name = key, given, given.partition("/")[2]
        if name not in spec.names:
            raise ConfigError(
                f"{SEARCH}.metric={given} is not measured; choose one of "
                f"{', '.join(f'val/{one}' for one in spec.names)}{did_you_mean(name, spec.names)}"
            )
        if cfg.trainer.test_model == "best":
            raise ConfigError(
                f"{SEARCH}.metric={given} is not what chooses the model of a trial, trainer.monitor={monitor}: "
                f"set trainer.monitor={given}, or trainer.test_model=last"
            )
        known = next((one for one in spec.metrics if one.name == name), None)
        mode = (known or spec_of(name)).mode
    if not key.startswith("val/"):
        raise ConfigError(
            f"trainer.monitor={key}: a search compares trials by validation rows; choose val/NAME"
        )
    if mode is None:
        raise ConfigError(f"{SEARCH}.metric={key}: it is not known whether lower or higher is better")
    return key, mode


def mean(values: Sequence[Sequence[float]]) -> list[float]:
    """The mean of each objective over the seeds."""
    return [sum(column) / len(column) for column in zip(*values, strict=True)]
