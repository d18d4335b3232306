"""`composed`: what Hydra makes of ``conf/`` and overrides, in any thread, beside a caller's own Hydra."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.config.settings import CONF_DIR

if TYPE_CHECKING:
    from omegaconf import DictConfig

_LOCK = threading.Lock()  # GlobalHydra is one per process and not thread-safe


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
