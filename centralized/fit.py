"""`fit`: trains the model of a centralized run, in this process and one more per further device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar

from centralized.callbacks import EpochProgress, build_callbacks, stop_reason
from centralized.devices import LocalProcesses, other_processes
from centralized.resume import check_resume
from shared.config.config import Config
from shared.data.datamodule import ImageDataModule
from shared.data.images.dataset import load_images
from shared.metrics.point import MetricSink
from shared.model.classifier import LitClassifier, balanced_weights
from shared.runtime.home import Home
from shared.training.trainer import build_trainer

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Subset:
    """The rows of one client, for local training.

    Attributes
    ----------
    indices : ndarray [n], int64
    """

    partition_id: int
    indices: npt.NDArray[np.int64]


def load(cfg: Config, *, home: Home, subset: Subset | None) -> ImageDataModule:
    """Load the datamodule of all rows, or of a subset.

    Raises
    ------
    DataError
    """
    data = load_images(cfg.data, cache_dir=home.cache, progress=cfg.trainer.progress)
    if subset is None:
        return ImageDataModule(data, cfg=cfg.data, seed=cfg.seed)
    return ImageDataModule(
        data, cfg=cfg.data, seed=cfg.seed, indices=subset.indices, partition_id=subset.partition_id
    )


def fit(
    cfg: Config,
    *,
    datamodule: ImageDataModule,
    subset: Subset | None,
    sink: MetricSink,
    folder: Path,
    environment: LocalProcesses | None = None,
    extra_callbacks: Sequence[Callback] = (),
    on_epoch: EpochProgress | None = None,
) -> tuple[LitClassifier, str | None]:
    """Train, and write the best and the last checkpoint into the folder.

    Parameters
    ----------
    subset : Subset, optional
        The subset that the datamodule was loaded with.
    folder : Path
        Of the run.
    environment : LocalProcesses, optional
        For processes other than the first.
    on_epoch : callable, optional
        A progress display in place of our own.

    Returns
    -------
    str or None
        Why the training stopped before its last epoch.

    Raises
    ------
    FedtwinError
        An error that the user can correct.
    KeyboardInterrupt
        Ctrl-C or SIGTERM.
    """
    balanced = cfg.trainer.class_weights == "balanced"
    module = LitClassifier(
        cfg,
        num_classes=len(datamodule.data.classes),
        partition_id=subset.partition_id if subset else 0,
        class_weights=balanced_weights(datamodule.label_counts()) if balanced else None,
    )
    callbacks = build_callbacks(
        cfg, datamodule=datamodule, sink=sink, folder=folder / CHECKPOINTS, on_epoch=on_epoch
    )
    environment = environment or LocalProcesses()
    trainer = build_trainer(
        cfg.trainer,
        max_epochs=cfg.trainer.max_epochs,
        callbacks=[*callbacks, *extra_callbacks],
        root=folder,
        environment=environment,
        limit_val_batches=1.0 if datamodule.num_examples("val") else 0,  # 0: Lightning skips validation
        enable_checkpointing=True,
        enable_progress_bar=any(isinstance(callback, RichProgressBar) for callback in callbacks),
    )
    _set_threads(cfg, trainer)
    resume = _checkpoint_to_resume(cfg, module=module, folder=folder)
    order = {
        "config": cfg.model_dump(mode="json"),
        "folder": str(folder),
        "subset": subset and {"partition_id": subset.partition_id, "indices": subset.indices.tolist()},
    }
    with other_processes(trainer, environment, order):
        try:
            trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
        except SystemExit:  # raised by Lightning on Ctrl-C
            raise KeyboardInterrupt from None
    return module.float(), stop_reason(callbacks)


def _checkpoint_to_resume(cfg: Config, *, module: LitClassifier, folder: Path) -> Path | None:
    if cfg.resume is None:
        return None
    path = Path(cfg.resume).expanduser().absolute()
    own = path == folder / CHECKPOINTS / path.name
    check_resume(cfg, path, module=module, allow_done=own)  # own: only the test may be missing
    return path


def _set_threads(cfg: Config, trainer: L.Trainer) -> None:
    if cfg.trainer.num_threads:
        torch.set_num_threads(cfg.trainer.num_threads)
    elif trainer.num_devices > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // trainer.num_devices))
    elif cfg.model.name == "cnn":
        torch.set_num_threads(1)  # its layers are too small for several threads
