"""`checked_experiment`: what a request for a training means, and everything that is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.jobs.overrides import settings_by_column, written_overrides
from shared.config.config import Config
from shared.config.hydra_session import HydraSession
from shared.config.overrides import assign
from shared.runtime.components import is_allowed
from shared.runtime.errors import ConfigError, DataError
from shared.tracking.datasets import BUILT_IN

_BULLET = "  - "


@dataclass(frozen=True)
class Experiment:
    """A training that may be queued.

    Attributes
    ----------
    overrides : list of str
        What was asked for, in Hydra's grammar; settings by names that it cannot write, as JSON.
    dataset_id : int or None
        The uploaded dataset that it is trained on.
    """

    config: Config
    overrides: list[str]
    dataset_id: int | None = None


class InvalidExperiment(ConfigError):
    """A request for a training that cannot be used.

    Attributes
    ----------
    problems : list of str
        All that is wrong.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def checked_experiment(
    settings: Mapping[str, Any],
    *,
    dataset: str | None,
    run_name: str | None,
    mode: str,
    folders: Sequence[Path],
    uploaded: Path | None = None,
    session: HydraSession | None = None,
) -> Experiment:
    """Compose and check the configuration of a training; nothing is run.

    Settings of an algorithm's own (``strategy.*``) are checked when the job begins: what checks them is the
    code that trains, which the server does not import.

    Parameters
    ----------
    settings : mapping
        Values by dotted name.
    dataset : str, optional
        A path below one of the folders, or `BUILT_IN`; without it, what the settings choose.
    folders : sequence of Path
        Where the data of jobs may lie.
    uploaded : Path, optional
        The file that the dataset is, where it was uploaded; then no folder is looked in.
    session : HydraSession, optional
        Shared by requests: those that choose the same files share one composition.

    Raises
    ------
    InvalidExperiment
    """
    from shared.config.compose import compose  # Hydra is slow to import
    from shared.tasks.settle import settle

    by_column, problems, rest = settings_by_column(settings)
    overrides, more = written_overrides(rest)
    problems += more
    path = uploaded
    if dataset == BUILT_IN:
        overrides.insert(0, f"data={BUILT_IN}")
    elif dataset is not None and uploaded is None:
        path = find_dataset(dataset, folders)
        if path is None:
            problems.append(
                f"dataset: there is no {dataset[:200]!r} in the folders that this server allows for data"
                + ("" if folders else " (it allows none: fedtwin serve --data FOLDER)")
            )
    if path is not None:
        overrides.insert(0, assign("data.path", str(path)))
    try:
        config = compose(settle(overrides), session=session)
        if by_column and not problems:
            config = _with_columns(config, by_column)
        if run_name is not None:
            config = config.replace("", name=run_name)
        problems += [*_outside(config, path=path), *_unfit(config, mode=mode)]
    except (ConfigError, DataError) as error:
        raise InvalidExperiment([*problems, *_parts(str(error))]) from None
    if problems:
        raise InvalidExperiment(problems)
    written = [f"data.{name}={json.dumps(one, ensure_ascii=False)}" for name, one in by_column.items()]
    return Experiment(config, [*overrides, *written])


def _with_columns(config: Config, by_column: Mapping[str, Mapping[str, Any]]) -> Config:
    changes = {}
    for name, given in by_column.items():
        before = getattr(config.data, name, None)
        if before is None:
            raise ConfigError(f"data.{name}: is a setting of tables, and the data is {config.data.source}")
        changes[name] = {**before, **given}
    return config.replace("data", **changes)


def find_dataset(name: str, folders: Sequence[Path]) -> Path | None:
    """A file or folder below one of the allowed folders; None where there is none, or it lies elsewhere.

    Parameters
    ----------
    name : str
        Relative to one of them, or absolute. Links are followed before it is judged where it lies.
    """
    for folder in folders:
        try:
            root = folder.resolve(strict=True)
            found = (root / name).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):  # not there, NUL, a circle of links
            continue
        if found.is_relative_to(root):
            return found
    return None


def _outside(config: Config, *, path: Path | None) -> Iterator[str]:
    """What a composed configuration reaches beyond what the server allows, whatever way it was said."""
    data, federation = config.data, config.federation
    if data.path is not None and data.path != str(path):
        yield "data.path: set dataset"
    if data.source == "sql":
        yield "data=sql: a job reads no database; set dataset to a file"
    if data.source == "medmnist" and data.path is None:
        yield "data=medmnist: a job downloads nothing; set dataset to a file that is there"
    if config.model.weights is not None or config.resume is not None:
        yield "model.weights, resume: a job cannot read weights files"
    if federation.engine != "local" or federation.kit is not None or federation.ray_address is not None:
        yield "federation: jobs train on the worker's machine, with neither a SuperLink nor a Ray cluster"
    for target in config.targets:
        if not is_allowed(target):
            yield f"_target_={target}: this server does not allow it (FEDTWIN_MAY_RUN)"


def _unfit(config: Config, *, mode: str) -> Iterator[str]:
    from shared.tasks.checks import reject_pooled_only
    from shared.tasks.task import load_task

    try:
        load_task(config.task)
        if mode != "centralized":
            reject_pooled_only(config)
    except ConfigError as error:
        yield from _parts(str(error))


def _parts(text: str) -> list[str]:
    """The problems that an error lists, or its text."""
    if f"\n{_BULLET}" not in text:
        return [text]
    return [part.strip() for part in re.split(rf"\n{_BULLET}", text)[1:]]
