"""`checked_experiment`: what a request for a training means, and everything that is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
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
_DECIDING = {"data", "task", "experiment"}  # groups whose choice decides what the other settings are


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

    @property
    def name(self) -> str:
        """Of its run."""
        return self.config.name

    @property
    def stored(self) -> dict[str, Any]:
        """What its job is begun with."""
        return self.config.snapshot()

    @property
    def shown(self) -> dict[str, Any]:
        """The resolved settings."""
        return self.config.snapshot()


@dataclass(frozen=True)
class Place:
    """Where the data of a request is.

    Attributes
    ----------
    path : Path or None
        The only one that its settings may read.
    settings : dict of str to str
        What chooses it.
    problems : list of str
        Why it is nowhere.
    """

    path: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


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
    unusable: str | None = None,
    session: HydraSession | None = None,
) -> Experiment:
    """Compose and check the configuration of a training; nothing is run.

    All that is wrong is told at once, as far as it can be known: what is refused is left out, and the rest is
    checked without it. Settings of the data are judged only where it is known which data it is.

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
    unusable : str, optional
        Why the dataset, though it was uploaded, cannot be trained on.
    uploaded : Path, optional
        The file that the dataset is, where it was uploaded; then no folder is looked in.
    session : HydraSession, optional
        Shared by requests: those that choose the same files share one composition.

    Raises
    ------
    InvalidExperiment
    """
    by_column, problems, rest = settings_by_column(settings)
    overrides, more = written_overrides(rest)
    problems += more
    place = place_of(dataset, folders=folders, uploaded=uploaded, unusable=unusable)
    problems += place.problems
    overrides = [*(assign(name, value) for name, value in place.settings.items()), *overrides]
    config, wrong = _composed(overrides, session=session)
    problems += [one for one in wrong if not place.problems or _section(one) != "data"]
    if config is None:
        raise InvalidExperiment(problems)
    try:
        if by_column and not problems:
            config = _with_columns(config, by_column)
        if run_name is not None:
            config = config.replace("", name=run_name)
        problems += not_allowed(config, mode=mode, place=place)
    except ConfigError as error:
        problems += parts(str(error))
    if problems:
        raise InvalidExperiment(problems)
    written = [f"data.{name}={json.dumps(one, ensure_ascii=False)}" for name, one in by_column.items()]
    return Experiment(config, [*overrides, *written])


def _composed(overrides: Sequence[str], *, session: HydraSession | None) -> tuple[Config | None, list[str]]:
    """Compose overrides, without those that are refused.

    Each stage (the grammar, the choices, the settings' names, their values) tells all that it finds, and hides
    what the next one would. None where it cannot be told what to leave out, or the other settings depend on it.
    """
    from shared.config.compose import compose  # Hydra is slow to import
    from shared.tasks.settle import settle

    left, problems = list(overrides), list[str]()
    while True:
        try:
            return compose(settle(left), session=session), problems
        except (ConfigError, DataError) as error:
            found = parts(str(error))
        problems += found
        refused = {key for key in map(_key, left) if any(map(partial(_is_about, key), found))}
        if not refused or refused & _DECIDING:
            return None, problems
        # With a choice of a group go the settings that only it may have.
        left = [one for one in left if not {_key(one), _section(_key(one))} & refused]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")


def _section(text: str) -> str:
    """The group or section that a setting, or a problem, is of."""
    return re.split(r"[.=:]", text, maxsplit=1)[0]


def _is_about(key: str, problem: str) -> bool:
    rest = problem.removeprefix(key)
    # A choice of a group is not to blame for a setting of its section.
    return rest != problem and rest.startswith((".", "=", ":") if "." in key else ("=", ":"))


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


def place_of(
    dataset: str | None, *, folders: Sequence[Path], uploaded: Path | None, unusable: str | None
) -> Place:
    """Find the data of a request; see `checked_experiment`."""
    if unusable is not None:
        return Place(problems=[f"dataset: {unusable}"])
    if uploaded is None and dataset is None:
        return Place()
    if dataset == BUILT_IN and uploaded is None:
        return Place(settings={"data": BUILT_IN})
    path = uploaded or find_dataset(dataset or "", folders)
    if path is None:
        text = f"dataset: there is no {(dataset or '')[:200]!r} in the folders that this server allows for data"
        return Place(problems=[text + ("" if folders else " (it allows none: fedtwin serve --data FOLDER)")])
    return Place(path, {"data.path": str(path)})


def not_allowed(config: Config, *, mode: str, place: Place) -> list[str]:
    """What a composed configuration reaches beyond what the server allows, or cannot be trained so."""
    return [*_outside(config, path=place.path), *_unfit(config, mode=mode)]


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
    from shared.tasks.checks import reject_one_sided, reject_pooled_only, reject_untested
    from shared.tasks.task import load_task

    checks: list[Callable[[Config], None]] = [lambda cfg: load_task(cfg.task).check(cfg)]
    if mode != "centralized":
        checks.append(reject_pooled_only)
    if mode == "compare":
        checks += [reject_one_sided, reject_untested]
    for check in checks:
        try:
            check(config)
        except ConfigError as error:
            yield from parts(str(error))


def parts(text: str) -> list[str]:
    """The problems that an error lists, or its text."""
    if f"\n{_BULLET}" not in text:
        return [text]
    return [part.strip() for part in re.split(rf"\n{_BULLET}", text)[1:]]
