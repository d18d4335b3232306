"""Going on from a checkpoint: is it one of a centralized run, and does it fit what is configured now?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.config.config import Config
from shared.config.stored import upgrade
from shared.model.classifier import LitClassifier
from shared.model.weights import read_file
from shared.runtime.errors import ConfigError, bullet_list

FIXED = ("seed", "model", "trainer.optimizer", "trainer.scheduler")  # what a checkpoint goes on with


def check_resume(cfg: Config, path: Path, *, module: LitClassifier, allow_done: bool) -> None:
    """Check a checkpoint before Lightning restores it.

    Parameters
    ----------
    module : LitClassifier
        That is to go on.
    allow_done : bool
        Whether it may have no epoch left.

    Raises
    ------
    WeightsError
        The file cannot be read without running code in it.
    ConfigError
        It is not a checkpoint of this model and these settings, or has no epoch left.
    """
    checkpoint = read_file(path)
    missing = {"state_dict", "epoch", "optimizer_states", "config"} - checkpoint.keys()
    if missing:
        raise ConfigError(
            f"{path} is not a checkpoint of a centralized run (it has no {', '.join(sorted(missing))}); to "
            "start from the weights alone set model.weights"
        )
    now, then = cfg.snapshot(), checkpoint["config"]
    then = upgrade(then) if isinstance(then, dict) else {}
    problems = [problem for name in FIXED for problem in _differences(name, _at(then, name), _at(now, name))]
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in checkpoint["state_dict"].items()}
    problems += [
        f"{key}: shape {found.get(key)} there, {shapes.get(key)} now"
        for key in sorted(shapes.keys() | found.keys())
        if shapes.get(key) != found.get(key)
    ]
    if problems:
        raise ConfigError(f"{path} cannot be gone on with under other settings:\n{bullet_list(problems)}")
    done = checkpoint["epoch"] + 1
    if done > cfg.trainer.max_epochs or (done == cfg.trainer.max_epochs and not allow_done):
        raise ConfigError(
            f"{path} has {done} epochs behind it, trainer.max_epochs={cfg.trainer.max_epochs} leaves none to go"
        )


def _at(snapshot: Any, name: str) -> Any:
    for part in name.split("."):
        snapshot = snapshot.get(part, {}) if isinstance(snapshot, dict) else {}
    return snapshot


def _differences(name: str, then: Any, now: Any) -> list[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        keys = sorted((then.keys() | now.keys()) - {"weights"})  # where a training started from is behind it
        return [text for key in keys for text in _differences(f"{name}.{key}", then.get(key), now.get(key))]
    return [] if then == now else [f"{name}: {then} there, {now} now"]
