"""The Lightning Trainer of both modes, and the device that evaluation runs on."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, Checkpoint

from shared.config.trainer import TrainerConfig
from shared.runtime.errors import ConfigError
from shared.runtime.files import replacing


def build_trainer(
    cfg: TrainerConfig,
    *,
    max_epochs: int,
    callbacks: Sequence[Callback],
    root: Path | None = None,
    environment: ClusterEnvironment | None = None,
    **flags: bool | float,
) -> L.Trainer:
    """A Trainer without what we do not use: no logger, no sanity check, no sampler of its own.

    Parameters
    ----------
    root : Path, optional
        Where Lightning may write.
    environment : ClusterEnvironment, optional
        How the processes of several devices find each other; without it there must be one device.
    **flags : bool or float
        Of Lightning's Trainer; the progress bar is off by default.

    Raises
    ------
    ConfigError
        ``accelerator``, ``devices`` or ``precision`` cannot be had on this machine.
    """
    quiet_lightning()
    try:
        trainer = L.Trainer(
            max_epochs=max_epochs,
            accelerator=cfg.accelerator,
            devices=cfg.devices,
            precision=cfg.precision,  # type: ignore[arg-type]
            gradient_clip_val=cfg.gradient_clip,
            callbacks=list(callbacks),
            plugins=[CheckpointFiles(), *([] if environment is None else [environment])],
            default_root_dir=root or os.devnull,
            logger=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # BatchLoader shares the rows out by rank itself
            log_every_n_steps=1,
            enable_model_summary=False,
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            **{"enable_progress_bar": False, **flags},  # type: ignore[arg-type]
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise ConfigError(
            f"trainer.accelerator={cfg.accelerator} trainer.devices={cfg.devices} "
            f"trainer.precision={cfg.precision} cannot be used here: {error}"
        ) from None
    if trainer.num_devices > 1 and environment is None:
        raise ConfigError(
            f"trainer.devices={cfg.devices} gives {trainer.num_devices} devices; only pooled training "
            "uses several, a client trains on one: set trainer.devices=1"
        )
    return trainer


class CheckpointFiles(TorchCheckpointIO):
    """Checkpoints as Lightning writes them, but whole or not at all.

    Lightning's own go through the system's temporary folder, from which they are copied where that is another
    file system: a full disk or a killed process leaves half a checkpoint, and a file there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint beside its place, then replace what is there.

        Raises
        ------
        DiskError
            The disk is full, or cannot be written to; what is there stays.
        """
        content = io.BytesIO()  # torch turns what the system says into an error of its own
        torch.save(checkpoint, content)
        with replacing(Path(path)) as file:
            file.write(content.getbuffer())


def evaluation_device(cfg: TrainerConfig) -> torch.device:
    """Where `predict` runs: a GPU if the Trainer would use one."""
    if cfg.wants_gpu and torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("cpu")


def quiet_lightning() -> None:
    """Keep Lightning's hints about loggers, workers and devices off the user's terminal."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    warnings.filterwarnings(
        "ignore", message="Checkpoint directory .* exists and is not empty"
    )  # a run that goes on
