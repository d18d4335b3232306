"""Composes the files of ``conf/`` with Hydra into a checked `Config`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.config.config import Config, validate
from shared.runtime.components import allow_component
from shared.runtime.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONF_DIR = Path(__file__).resolve().parents[2] / "conf"
PATHS = (("data", "path"), ("model", "weights"), ("federation", "kit"))  # settings that name a file or folder
_HYDRA_LOCK = threading.Lock()  # GlobalHydra is one per process and not thread-safe


def from_hydra(cfg: DictConfig) -> Config:
    """Resolve and check what Hydra composed for a command, whose components are thereby allowed to run.

    Returns
    -------
    Config
        Its paths are absolute.

    Raises
    ------
    ConfigError
    """
    checked = _resolve(cfg)
    for target in checked.targets:
        allow_component(target)
    return checked


def _resolve(cfg: DictConfig) -> Config:
    from omegaconf import OmegaConf  # Hydra is slow to import, and reading stored settings does not need it
    from omegaconf.errors import OmegaConfBaseException

    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"the configuration is not complete: {str(error).splitlines()[0]}") from None
    assert isinstance(values, dict)
    for section, name in PATHS:  # a run may go on in another folder, and Flower's processes work in others
        if values[section].get(name) is not None:
            values[section][name] = str(Path(str(values[section][name])).expanduser().absolute())
    return validate({str(key): value for key, value in values.items()})


def compose(overrides: Sequence[str] = ()) -> Config:
    """Compose ``conf/`` with overrides such as ``"data=npz"``, and check the result.

    Overrides may come from elsewhere: components that they name are not thereby allowed to run.

    Parameters
    ----------
    overrides : sequence of str
        In Hydra's override grammar.

    Raises
    ------
    ConfigError
        An override names no setting, or its value is not valid.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    with _HYDRA_LOCK:
        theirs = GlobalHydra.instance().hydra  # of a caller that uses Hydra itself
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
                cfg = hydra_compose("config", overrides=list(overrides))
                return _resolve(cfg)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(f"cannot compose {list(overrides)}: {error}") from None
        finally:
            GlobalHydra.instance().hydra = theirs
