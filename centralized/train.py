"""The pooled baseline: load, build, fit, test; `federated` trains the same model where the data lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar

from centralized.callbacks import build_callbacks
from shared.config import Config
from shared.data.datamodule import ImageDataModule
from shared.data.images import load_images
from shared.errors import ConfigError
from shared.evaluation import record_test
from shared.home import Home
from shared.model.classifier import LitClassifier, balanced_weights
from shared.model.scores import best_threshold, predict, threshold_counts
from shared.model.trainer import build_trainer, evaluation_device
from shared.run import tracked_run
from shared.tracking.export import write_results
from shared.tracking.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class Subset:
    """The rows of one client that trains alone.

    Attributes
    ----------
    partition_id : int
    indices : ndarray [n], int64
    """

    partition_id: int
    indices: npt.NDArray[np.int64]


def train(
    cfg: Config,
    *,
    store: Store,
    home: Home,
    subset: Subset | None = None,
    extra_callbacks: Sequence[Callback] = (),
) -> int:
    """Train on all rows (or one client's), test the chosen model, and record everything as one run.

    Parameters
    ----------
    cfg : Config
    store : Store
    home : Home
    subset : Subset, optional
        Makes it a ``local`` run.
    extra_callbacks : sequence of Callback
        Such as a progress bar of the caller.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    FedtwinError
        What the user can mend; the run row ends as failed.
    """
    with tracked_run(
        store, cfg, mode="local" if subset else "centralized", resume=cfg.resume is not None
    ) as run_id:
        folder = home.run_dir(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        datamodule = _load(cfg, home=home, subset=subset)
        callbacks = build_callbacks(
            cfg,
            num_classes=len(datamodule.data.classes),
            sink=store.sink(run_id),
            folder=folder / "checkpoints",
        )
        callbacks.extend(extra_callbacks)
        module = _fit(cfg, datamodule=datamodule, callbacks=callbacks, folder=folder)
        _test(
            cfg,
            module=module,
            datamodule=datamodule,
            callbacks=callbacks,
            store=store,
            run_id=run_id,
            folder=folder,
        )
        store.finish_run(run_id, "completed", stop_reason=_stop_reason(callbacks))
    write_results(store, run_id, home.results)
    return run_id


def _load(cfg: Config, *, home: Home, subset: Subset | None) -> ImageDataModule:
    data = load_images(cfg.data, cache_dir=home.cache, progress=cfg.trainer.progress)
    return ImageDataModule(
        data, cfg=cfg.data, seed=cfg.seed, indices=None if subset is None else subset.indices
    )


def _fit(cfg: Config, *, datamodule: ImageDataModule, callbacks: list[Callback], folder: Path) -> LitClassifier:
    if cfg.trainer.num_threads:
        torch.set_num_threads(cfg.trainer.num_threads)
    balanced = cfg.trainer.class_weights == "balanced"
    module = LitClassifier(
        cfg,
        num_classes=len(datamodule.data.classes),
        class_weights=balanced_weights(datamodule.label_counts()) if balanced else None,
    )
    trainer = build_trainer(
        cfg.trainer,
        max_epochs=cfg.trainer.max_epochs,
        callbacks=callbacks,
        root=folder,
        enable_checkpointing=True,
        enable_progress_bar=_find(callbacks, RichProgressBar) is not None,
    )
    trainer.fit(module, datamodule=datamodule, ckpt_path=_checkpoint_to_resume(cfg))
    return module


def _test(
    cfg: Config,
    *,
    module: LitClassifier,
    datamodule: ImageDataModule,
    callbacks: list[Callback],
    store: Store,
    run_id: int,
    folder: Path,
) -> None:
    checkpoint = _find(callbacks, ModelCheckpoint)
    assert checkpoint is not None
    best = cfg.trainer.test_model == "best"
    state = torch.load(
        checkpoint.best_model_path if best else checkpoint.last_model_path,
        map_location="cpu",
        weights_only=True,
    )
    module.load_state_dict(state["state_dict"])
    device = evaluation_device(cfg.trainer)
    threshold = cfg.trainer.fixed_threshold
    if cfg.trainer.threshold == "val":
        threshold = best_threshold(threshold_counts(predict(module.network, datamodule, "val", device=device)))
    scores = predict(module.network, datamodule, "test", device=device)
    record_test(store, run_id, scores, threshold=threshold, folder=folder, test_epoch=state["epoch"] + 1)


def _stop_reason(callbacks: list[Callback]) -> str | None:
    stopping = _find(callbacks, EarlyStopping)
    return stopping.stopping_reason_message if stopping and stopping.stopped_epoch else None


def _checkpoint_to_resume(cfg: Config) -> Path | None:
    if cfg.resume is None:
        return None
    path = Path(cfg.resume).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"no checkpoint at {path}; resume= must name a .ckpt file of an earlier run")
    return path


def _find(callbacks: list[Callback], kind: type[T]) -> T | None:
    return next((callback for callback in callbacks if isinstance(callback, kind)), None)
