"""`composed`: what Hydra makes of ``conf/`` and overrides, in any thread, beside a caller's own Hydra."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from shared.config.settings import CONF_DIR, groups

if TYPE_CHECKING:
    from omegaconf import DictConfig

MOST_KEPT = 200  # compositions, of about 1 MB
_LOCK = threading.Lock()  # GlobalHydra is one per process and not thread-safe


class HydraSession:
    """Composes ``conf/`` many times: overrides that choose the same files share one composition.

    Values are set in a copy of it, as Hydra sets them itself; whatever else an override does (``+``, ``~``, a
    group) takes part in the composition. A file that is changed is read again.
    """

    def __init__(self) -> None:
        self._bases: dict[tuple[str, ...], tuple[DictConfig, dict[str, str]]] = {}
        self._changed = 0

    def composed(self, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
        """See `composed`."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        values, others = _values_apart(overrides)
        if any("hydra" in text.partition("=")[0] for text in others):
            return composed(overrides)  # such as folders of others' files
        changed = _last_change()
        if changed != self._changed:
            self._bases, self._changed = {}, changed
        found = self._bases.get(others)
        if found is None:
            found = composed(others)
            if len(self._bases) >= MOST_KEPT:
                self._bases.clear()
            self._bases[others] = found
        base, choices = found
        cfg = deepcopy(base)
        try:
            for key, value in values:
                OmegaConf.update(cfg, key, value, merge=True)
        except OmegaConfBaseException:
            return composed(overrides)  # Hydra's own error, or what it makes of it
        return cfg, dict(choices)


OF_PROCESS = HydraSession()


def _last_change() -> int:
    """When a file of ``conf/`` was changed, added or removed, in nanoseconds."""
    folders = [CONF_DIR, *(path for path in CONF_DIR.iterdir() if path.is_dir())]
    files = (path for folder in folders for path in folder.glob("*.yaml"))
    return max(path.stat().st_mtime_ns for path in (*folders, *files))


def composed(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    """Compose ``conf/`` with overrides; nothing is resolved or checked.

    Returns
    -------
    DictConfig
        Without Hydra's own part.
    dict of str to str
        The choice of each group.

    Raises
    ------
    hydra.errors.HydraException
    omegaconf.errors.OmegaConfBaseException
    """
    from hydra import compose, initialize_config_dir  # slow to import; reading stored settings does without
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import open_dict

    with _LOCK:
        theirs = GlobalHydra.instance().hydra  # of a caller that uses Hydra itself
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
                cfg = compose("config", overrides=list(overrides), return_hydra_config=True)
        finally:
            GlobalHydra.instance().hydra = theirs
    choices = {
        str(group): str(choice) for group, choice in cfg.hydra.runtime.choices.items() if choice is not None
    }
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, choices


def _values_apart(overrides: Sequence[str]) -> tuple[list[tuple[str, Any]], tuple[str, ...]]:
    """Plain values by the name of their setting, and all other overrides."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    known, values, others = groups(), [], []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        plain = not (override.is_add() or override.is_force_add() or override.is_delete())
        if plain and key not in known and override.package is None and not key.startswith("hydra"):
            values.append((key, override.value()))
        else:
            others.append(str(override.input_line))
    return values, tuple(others)
