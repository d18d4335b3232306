"""Checks before resuming: whether a checkpoint is of a centralized run and fits the current configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import LightningModule
from torch import Tensor

from shared.config.config import Config
from shared.config.continuing import changed_settings
from shared.config.stored import upgrade
from shared.data.row_keys import other_rows
from shared.model.weights import read_file
from shared.runtime.errors import ConfigError, bullet_list

_KINDS = {
    "state_dict": dict,
    "epoch": int,
    "optimizer_states": list,
    "lr_schedulers": list,
    "callbacks": dict,
    "loops": dict,
    "config": dict,
    "row_keys": dict,
}
ROW_KEYS = "row_keys"  # of a checkpoint: the rows of each side that it was trained on


def check_resume(
    cfg: Config, path: Path, *, module: LightningModule, rows: Mapping[str, Any], allow_done: bool
) -> None:
    """Check a checkpoint before Lightning restores it.

    Parameters
    ----------
    module : LightningModule
        To be resumed.
    rows : mapping
        From `shared.data.row_keys.row_keys`: what it is to be trained and tested on.
    allow_done : bool
        Whether no epoch may be left to train.

    Raises
    ------
    WeightsError
        The file cannot be read safely.
    ConfigError
        Not a checkpoint of this model, these rows and these settings, or no epoch is left.
    """
    checkpoint = read_file(path)
    missing = {"state_dict", "epoch", "optimizer_states", "config"} - checkpoint.keys()
    if missing:
        raise ConfigError(
            f"{path} is not a checkpoint of a pooled run (missing: {', '.join(sorted(missing))}); to start "
            "from weights only, set model.weights"
        )
    odd = [
        f"{key} is {type(checkpoint[key]).__name__}"
        for key, kind in _KINDS.items()
        if _is_odd(checkpoint, key, kind)
    ]
    odd += [
        f"{key} is {type(value).__name__}"
        for key, value in (checkpoint["state_dict"].items() if not odd else ())
        if not isinstance(value, Tensor)
    ]
    if odd:
        raise ConfigError(f"{path} is not a checkpoint of a pooled run ({bullet_list(odd)})")
    when, then = "in the checkpoint", checkpoint["config"]
    problems = changed_settings(upgrade(then), cfg.snapshot(), when=when, federated=False)
    problems += other_rows(checkpoint.get(ROW_KEYS) or {}, rows, when=when, at_present="now")
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in checkpoint["state_dict"].items()}
    grows = getattr(module, "grows", False)  # a model of trees, whose arrays are as long as it has grown
    problems += [
        f"{key}: shape {found.get(key)} in the checkpoint, {shapes.get(key)} now"
        for key in sorted(shapes.keys() | found.keys())
        if shapes.get(key) != found.get(key) and not (grows and key in shapes and key in found)
    ]
    if problems:
        raise ConfigError(
            f"{path} cannot be resumed with other settings or rows:\n{bullet_list(problems)}\nto start a new "
            f"training from its weights, set model.weights={path} instead of resume"
        )
    done = checkpoint["epoch"] + 1
    if done > cfg.trainer.max_epochs or (done == cfg.trainer.max_epochs and not allow_done):
        raise ConfigError(
            f"{path} has completed {done} epochs; none left to train "
            f"(trainer.max_epochs={cfg.trainer.max_epochs})"
        )


def _is_odd(checkpoint: Mapping[str, Any], key: str, kind: type[Any]) -> bool:
    # Of older versions some have no row keys, and no callback has a state.
    value = checkpoint.get(key)
    return not isinstance(value, kind) if value is not None or key in ("state_dict", "epoch") else False
