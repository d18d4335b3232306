"""`load_component` and `load_function`: import what a ``_target_`` names, once it has passed an allow-list.

A ``_target_`` may come over the network, in a run's settings: nothing is imported for it unless it is one of
ours, an installed package offers it as an entry point, or somebody on this machine has named it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from shared.runtime.errors import ConfigError

MAY_RUN = "FEDTWIN_MAY_RUN"  # environment variable: dotted names of classes, modules or packages, with commas
ENTRY_POINTS = "fedtwin.components"
_OURS = ("federated.strategy", "shared.tasks")

T = TypeVar("T")


def load_component(target: str, *, kind: type[T], may_run: Collection[str] = ()) -> type[T]:
    """Import a class.

    Parameters
    ----------
    target : str
        ``package.module.Class``.
    kind : type
        What it must be a subclass of.
    may_run : collection of str
        Dotted names that are allowed beside those of `MAY_RUN`: a class, or all of a module or package.

    Raises
    ------
    ConfigError
        It is not allowed, cannot be imported, or is something else.
    """
    found = load_object(target, may_run=may_run)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise ConfigError(f"_target_={target} must be a subclass of {kind.__module__}.{kind.__name__}")
    return found


def load_function(target: str, *, may_run: Collection[str] = ()) -> Callable[..., Any]:
    """Import a function; as `load_component`.

    Raises
    ------
    ConfigError
    """
    found = load_object(target, may_run=may_run)
    if not callable(found) or isinstance(found, type):
        raise ConfigError(f"_target_={target} must be a function")
    function: Callable[..., Any] = found
    return function


def load_object(target: str, *, may_run: Collection[str] = ()) -> Any:
    """Import whatever a ``_target_`` names; as `load_component`.

    Raises
    ------
    ConfigError
    """
    if not is_allowed(target, may_run):
        raise ConfigError(
            f"_target_={target} may not run here: it is not part of fedtwin, no installed package offers it "
            f"(entry point group {ENTRY_POINTS}), and nobody on this machine has allowed it; name it on the "
            f"command line, in the environment ({MAY_RUN}={target}) or, at a site, in site.yaml (may_run)"
        )
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # a module of the user's own may raise anything
        raise ConfigError(
            f"_target_={target} cannot be imported: {type(error).__name__}: {error}; its folder must be the "
            f"current one or on PYTHONPATH"
        ) from error


def allow_component(target: str) -> None:
    """Allow a component that the command line names, in this process and in those that it starts.

    The current folder becomes importable for them, behind everything that is installed.
    """
    if _is_within(target, _OURS):
        return
    named = [name for name in os.environ.get(MAY_RUN, "").split(",") if name]
    os.environ[MAY_RUN] = ",".join(dict.fromkeys([*named, target]))
    here = str(Path.cwd())
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*paths, here]))
    if here not in sys.path:
        sys.path.append(here)


def is_allowed(target: str, may_run: Collection[str] = ()) -> bool:
    """Whether a component may be imported here, see `load_component`."""
    named = [name.strip() for name in os.environ.get(MAY_RUN, "").split(",")]
    if _is_within(target, _OURS) or _is_within(target, [*may_run, *named]):
        return True
    offered = entry_points(group=ENTRY_POINTS)
    return target in {entry.value.replace(":", ".") for entry in offered}


def _is_within(target: str, names: Collection[str]) -> bool:
    return any(name and (target == name or target.startswith(f"{name}.")) for name in names)
