"""`Task`: one kind of problem, a folder here and a file in ``conf/task/``; `load_task` makes it."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ConfigDict

from shared.config.problems import check_settings
from shared.config.section import Section
from shared.config.stored import upgrade
from shared.config.task import TaskConfig
from shared.data.schema import Schema
from shared.runtime.components import load_component
from shared.runtime.errors import ConfigError

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.tasks.base import Learner, TaskSpec
    from shared.tracking.rows import RunRow


class Task:
    """One kind of problem; a subclass is named by the ``_target_`` of its file in ``conf/task/``.

    Attributes
    ----------
    models : tuple of type
        Sections of ``model`` that it can train; any, where none is named.
    takes : str
        The same in words.
    """

    models: tuple[type[Section], ...] = ()
    takes = ""

    class Config(TaskConfig):
        """The task's own settings; a subclass adds them."""

        model_config = ConfigDict(extra="forbid")

    def __init__(self, config: Config, *, may_run: Collection[str] = ()) -> None:
        self.config, self.may_run = config, tuple(may_run)  # see `shared.runtime.components.load_component`

    @classmethod
    def recognise(cls, path: Path) -> tuple[str, Path] | None:
        """Which ``data=`` and ``data.path=`` read what lies at a path; None: the task names its data itself.

        Raises
        ------
        DataError
            There is nothing that can be read, or what could be read in several ways.
        """
        return None

    def check(self, cfg: RunConfig) -> None:
        """Reject a model of other tasks, before any data is read; imports no torch.

        Raises
        ------
        ConfigError
        """
        if self.models and not isinstance(cfg.model, self.models):
            raise ConfigError(f"task={cfg.task.name} takes model={self.takes}, got model.name={cfg.model.name}")

    def spec(self, schema: Schema) -> TaskSpec:
        """What is measured, told and shown on rows of a schema; imports no torch."""
        raise NotImplementedError

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it under a configuration."""
        raise NotImplementedError


def load_task(config: TaskConfig, *, may_run: Collection[str] = ()) -> Task:
    """The task that a configuration names, with its settings checked.

    Parameters
    ----------
    may_run : collection of str
        See `load_component`.

    Raises
    ------
    ConfigError
        The task may not run here, is none, or its settings are not valid.
    """
    kind = load_component(config.target, kind=Task, may_run=may_run)
    return kind(check_settings(kind.Config, config.settings(), section="task"), may_run=may_run)


def learner_of(cfg: RunConfig, *, may_run: Collection[str] = ()) -> Learner:
    """What trains the configured task.

    Raises
    ------
    ConfigError
    """
    return load_task(cfg.task, may_run=may_run).learner(cfg)


def spec_of_run(run: RunRow) -> TaskSpec:
    """What is measured, told and shown of a stored run; imports no torch.

    Raises
    ------
    ConfigError
        Its task may not run here.
    """
    config = upgrade(run.config)
    return load_task(TaskConfig.model_validate(config["task"])).spec(schema_of_run(run))


def schema_of_run(run: RunRow) -> Schema:
    """What the rows of a stored run hold; of an early version, which classified images, its classes."""
    stored = run.summary.get("schema")
    if stored:
        return Schema.from_json(json.dumps(stored))
    classes = run.summary.get("classes") or map(str, range(len(run.summary.get("confusion") or ())))
    return Schema(classes=tuple(classes))
