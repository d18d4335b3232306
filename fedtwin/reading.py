"""`data`: what lies at a path as it would be trained on, without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fedtwin.places import Place, find_home
from fedtwin.training import Settings, configure
from shared.config.config import Config
from shared.runtime.components import allow_component
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home, open_home

if TYPE_CHECKING:
    from shared.data.dataset import Dataset
    from shared.data.summary import DataSummary
    from shared.tasks.task import Task


def data(
    path: str | Path | None = None,
    settings: Settings = (),
    *,
    quick: bool = False,
    store: Place = None,
    progress: bool = False,
) -> DataSummary:
    """Say what lies at a path, as the commands that train would read it.

    Parameters
    ----------
    path : str or Path, optional
        A folder, a ZIP or an ``.npz``; its layout is recognised unless ``data=`` is set.
    settings : Config, str or sequence of str
        See `fedtwin.compare`.
    quick : bool
        Read names, labels and splits, and open no image.
    store : str or Path, optional
        See `fedtwin.compare`; keeps the decoded images.
    progress : bool
        Draw a bar on stderr while images are decoded.

    Returns
    -------
    DataSummary
        Rows by class and side, patients, the positive class, and what was ignored or guessed; ``print`` it.

    Raises
    ------
    DataError
        It cannot be read, or could be in several ways; its text says what to set.
    ConfigError

    Examples
    --------
    >>> fedtwin.data("chest_xray").counts["label"]["PNEUMONIA"]["test"]
    390
    """
    from shared.tasks.reading import summarize
    from shared.tasks.task import load_task

    cfg = configure(with_path(settings, path))
    for target in cfg.targets:  # whoever calls us has named them
        allow_component(target)
    home = open_home(cfg.tracking) if store is None else find_home(store)
    task = load_task(cfg.task)
    rows, looked = _read(cfg, task, home=home, quick=quick, progress=progress)
    summary = summarize(rows, task.spec(rows.schema))
    return replace(summary, facts={**summary.facts, "looked at": looked})


def _read(cfg: Config, task: Task, *, home: Home, quick: bool, progress: bool) -> tuple[Dataset, str]:
    from shared.config.data import ImageDataConfig
    from shared.data.images.dataset import load_images, read_rows

    read_targets = getattr(task, "read_targets", None)
    if not isinstance(cfg.data, ImageDataConfig) or read_targets is None:
        if quick:
            raise ConfigError(f"task={cfg.task.name} reads its data itself, all of it; leave quick out")
        rows = task.learner(cfg).dataset(cache=home.cache, progress=progress)
        return rows, f"all {len(rows):,} rows"
    if quick:
        rows = read_rows(cfg.data, cache_dir=home.cache, read_targets=read_targets)
        return rows, "names, labels and splits; no image was opened, nor looked for duplicates"
    images = load_images(cfg.data, cache_dir=home.cache, read_targets=read_targets, progress=progress)
    return images, f"all {len(images):,} images"


def with_path(settings: Settings, path: str | Path | None) -> Settings:
    """Settings with a path of data among them, if there is one."""
    if path is None:
        return settings
    if isinstance(settings, Config):
        return settings.replace("data", path=str(path))
    given: Sequence[str] = [settings] if isinstance(settings, str) else settings
    if isinstance(settings, str):
        import shlex

        given = shlex.split(settings)
    return [f"data.path={path}", *given]
