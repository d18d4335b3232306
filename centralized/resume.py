"""Checks before resuming: whether a checkpoint is of a centralized run and fits the current configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import LightningModule

from shared.config.config import Config
from shared.config.stored import upgrade
from shared.model.weights import read_file
from shared.runtime.errors import ConfigError, bullet_list

FIXED = ("seed", "model", "trainer.optimizer", "trainer.scheduler")  # must equal the checkpoint's


def check_resume(cfg: Config, path: Path, *, module: LightningModule, allow_done: bool) -> None:
    """Check a checkpoint before Lightning restores it.

    Parameters
    ----------
    module : LitClassifier
        To be resumed.
    allow_done : bool
        Whether no epoch may be left to train.

    Raises
    ------
    WeightsError
        The file cannot be read safely.
    ConfigError
        Not a checkpoint of this model and these settings, or no epoch is left.
    """
    checkpoint = read_file(path)
    missing = {"state_dict", "epoch", "optimizer_states", "config"} - checkpoint.keys()
    if missing:
        raise ConfigError(
            f"{path} is not a checkpoint of a pooled run (missing: {', '.join(sorted(missing))}); to start "
            "from weights only, set model.weights"
        )
    now, then = cfg.snapshot(), checkpoint["config"]
    then = upgrade(then) if isinstance(then, dict) else {}
    problems = [problem for name in FIXED for problem in _differences(name, _at(then, name), _at(now, name))]
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in checkpoint["state_dict"].items()}
    problems += [
        f"{key}: shape {found.get(key)} in the checkpoint, {shapes.get(key)} now"
        for key in sorted(shapes.keys() | found.keys())
        if shapes.get(key) != found.get(key)
    ]
    if problems:
        raise ConfigError(f"{path} cannot be resumed with different settings:\n{bullet_list(problems)}")
    done = checkpoint["epoch"] + 1
    if done > cfg.trainer.max_epochs or (done == cfg.trainer.max_epochs and not allow_done):
        raise ConfigError(
            f"{path} has completed {done} epochs; none left to train "
            f"(trainer.max_epochs={cfg.trainer.max_epochs})"
        )


def _at(snapshot: Any, name: str) -> Any:
    for part in name.split("."):
        snapshot = snapshot.get(part, {}) if isinstance(snapshot, dict) else {}
    return snapshot


def _differences(name: str, then: Any, now: Any) -> list[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        keys = sorted((then.keys() | now.keys()) - {"weights"})  # the initial weights no longer matter
        return [text for key in keys for text in _differences(f"{name}.{key}", then.get(key), now.get(key))]
    return [] if then == now else [f"{name}: {then} in the checkpoint, {now} now"]
