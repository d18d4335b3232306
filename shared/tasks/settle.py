"""`settle`: overrides of the command line with ``data=auto`` replaced by what lies at ``data.path``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared.config.overrides import assign, quote_texts, value_of
from shared.config.settings import chosen_by_default, settings_of
from shared.runtime.components import load_component
from shared.runtime.errors import ConfigError
from shared.tasks.images.task import ImageTask
from shared.tasks.task import Task

_OWN = ("experiment", "data.source", "task._target_")  # settings that choose the data themselves


def settle(overrides: Sequence[str], *, sweep: bool = False) -> list[str]:
    """Quote paths and names for Hydra, and choose the source of the data where it is not named.

    ``data=auto``, and ``data.path=PATH`` without a ``data=``, become the ``data=`` that reads what lies there,
    as the task recognises it (`Task.recognise`); a task that names its data itself is left alone.

    Parameters
    ----------
    overrides : sequence of str
        As typed; options of Hydra's among them stay.
    sweep : bool
        Of ``--multirun``.

    Raises
    ------
    ConfigError
        ``data=auto`` without one plain path.
    DataError
        What lies at the path is not recognised, or could be read in several ways.
    """
    quoted = quote_texts(overrides, sweep=sweep)
    chosen, path = value_of(quoted, "data"), value_of(quoted, "data.path")
    named = any(value_of(quoted, name) not in (None, "null") for name in _OWN)
    if chosen not in (None, "auto") or (chosen is None and (named or path in (None, "", "null"))):
        return quoted
    if path in (None, "", "null"):
        raise ConfigError("data=auto needs data.path=PATH: a folder, a ZIP or an .npz")
    assert path is not None
    task = value_of(quoted, "task") or chosen_by_default("task")
    kind = _kind(task)
    if kind is None and chosen is None:
        return quoted
    if "${" in path or (sweep and "," in path and not Path(path).expanduser().exists()):
        raise ConfigError(f"data=auto takes one path as it is, got {path}; name the data= that reads it")
    found = (kind or ImageTask).recognise(Path(path))
    if found is None:
        if chosen is None:
            return quoted
        raise ConfigError(f"data=auto: task={task} recognises no data; name the data= that it takes")
    source, place = found
    kept = [text for text in quoted if text.partition("=")[0].lstrip("+") not in ("data", "data.path")]
    return [f"data={source}", assign("data.path", str(place)), *kept]


def _kind(task: str | None) -> type[Task] | None:
    # None: a task of the user's own, whose file lies elsewhere.
    target = settings_of("task", task).get("task._target_") if task else None
    return load_component(target.default, kind=Task) if target else None
