"""Composes the files of ``conf/`` with Hydra into a checked `Config`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.config.config import Config, validate
from shared.config.model import REGISTRY
from shared.config.overrides import quote_texts
from shared.config.settings import CONF_DIR
from shared.runtime.components import allow_component

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from shared.config.hydra_session import HydraSession

PATHS = (("data", "path"), ("model", "weights"), ("federation", "kit"))  # settings that name a file or folder
__all__ = ["CONF_DIR", "compose", "from_hydra"]


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
        from shared.config.mistakes import explain

        raise explain(error, ()) from None
    assert isinstance(values, dict)
    for section, name in PATHS:  # a run may go on in another folder, and Flower's processes work in others
        settings = values.get(section)
        path = settings.get(name) if isinstance(settings, dict) else None
        registered = isinstance(path, str) and name == "weights" and path.startswith(REGISTRY)
        if path is not None and isinstance(path, str | int) and not isinstance(path, bool) and not registered:
            values[section][name] = str(Path(str(path)).expanduser().absolute())
    data = values.get("data")
    if isinstance(data, dict) and isinstance(url := data.get("url"), str) and data.get("source") == "sql":
        data["url"] = _of_absolute_file(url)
    return validate({str(key): value for key, value in values.items()})


def _of_absolute_file(url: str) -> str:
    start, _, path = url.partition(":///")
    if not start.startswith("sqlite") or not path or path.startswith((":memory:", "file:")):
        return url
    return f"{start}:///{Path(path).expanduser().absolute()}"


def compose(overrides: Sequence[str] = (), *, session: HydraSession | None = None) -> Config:
    """Compose ``conf/`` with overrides such as ``"data=npz"``, and check the result.

    Overrides may come from elsewhere: components that they name are not thereby allowed to run.

    Parameters
    ----------
    overrides : sequence of str
        In Hydra's override grammar; paths and names as they are, see `quote_texts`.
    session : HydraSession, optional
        What its calls share, which are then much faster; by default, all calls of this process share one.

    Raises
    ------
    ConfigError
        An override names no setting, or its value is not valid.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from shared.config.hydra_session import OF_PROCESS
    from shared.config.mistakes import check_overrides, explain

    overrides = quote_texts(overrides)
    check_overrides(overrides)
    try:
        cfg, _ = (session or OF_PROCESS).composed(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, overrides) from None
    return _resolve(cfg)
