"""`fit`: trains the model of a centralized run, in this process and one more per further device."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import Callback

from centralized.callbacks import EpochProgress, build_callbacks, stop_reason
from centralized.devices import LocalProcesses, other_processes
from centralized.resume import check_resume
from shared.config.config import Config
from shared.data.dataset import Dataset
from shared.data.profile import Profile
from shared.data.row_keys import row_keys
from shared.data.summary import DataSummary
from shared.metrics.point import MetricSink
from shared.runtime.errors import ConfigError, FedtwinError
from shared.runtime.home import Home
from shared.tasks.base import FitContext, Learner, TaskSpec
from shared.tasks.reading import read_data
from shared.tasks.selection import Choice, Monitor, choose_monitor
from shared.tasks.task import learner_of
from shared.training.trainer import build_trainer

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class StartingModel:
    """A trained model that training goes on with.

    Attributes
    ----------
    run_id : int
        The run that it is of.
    agreed : mapping
        See `shared.tasks.base.FitContext`: the model takes inputs that are scaled in this way.
    weights : mapping of str to Tensor
        Of the network; empty where another process has them.
    """

    run_id: int
    agreed: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Subset:
    """The rows of one client, for local training.

    Attributes
    ----------
    indices : ndarray [n], int64
    name : str
        What the client is called.
    begin_with : StartingModel, optional
        A model to fine-tune; a new one is trained without it.
    """

    partition_id: int
    indices: npt.NDArray[np.int64]
    name: str = ""
    begin_with: StartingModel | None = None


@dataclass(frozen=True)
class Work:
    """What is to be fitted: the task's parts, and the rows.

    Attributes
    ----------
    rows : ndarray [n], int64, or None
        Of one client; None: all.
    """

    learner: Learner
    spec: TaskSpec
    data: Dataset
    rows: npt.NDArray[np.int64] | None
    datamodule: Any
    context: FitContext
    summary: DataSummary

    def profile(self, stage: str) -> Profile:
        """The profile of the rows of a stage."""
        return self.spec.profile(self.data, self.data.rows(stage, self.rows))

    def row_keys(self) -> dict[str, dict[str, Any]]:
        """See `shared.data.row_keys.row_keys`."""
        return row_keys(self.data, self.rows)

    def choose_monitor(self, cfg: Config, *, begun_with: Monitor | None) -> Choice:
        """What chooses the best model, see `shared.tasks.selection`.

        Raises
        ------
        ConfigError
            ``trainer.monitor`` is not defined on the rows.
        """
        return choose_monitor(
            cfg.trainer,
            spec=self.spec,
            profile=self.profile,
            num_examples=self.datamodule.num_examples,
            begun_with=begun_with,
        )


def load(cfg: Config, *, home: Home, subset: Subset | None, tell: bool = True) -> Work:
    """Load all rows, or a subset.

    Parameters
    ----------
    tell : bool
        Say on stderr what was read.

    Raises
    ------
    DataError
    ConfigError
        Settings do not fit the task.
    """
    learner = learner_of(cfg)
    data, summary = read_data(learner, cache=home.cache, progress=cfg.trainer.progress, tell=tell)
    spec, rows = learner.spec(data.schema), subset.indices if subset else None
    if subset and subset.begin_with:
        agreed = subset.begin_with.agreed
    else:
        profile = spec.profile(data, data.rows("train", rows))
        agreed = {**spec.agree({cfg.name: profile}, trainer=cfg.trainer), **data.agreed}
    context = FitContext(partition_id=subset.partition_id if subset else 0, agreed=agreed)
    return Work(learner, spec, data, rows, learner.datamodule(data, rows, context), context, summary)


def fit(
    cfg: Config,
    *,
    work: Work,
    choice: Choice,
    subset: Subset | None,
    sink: MetricSink,
    folder: Path,
    environment: LocalProcesses | None = None,
    extra_callbacks: Sequence[Callback] = (),
    on_epoch: EpochProgress | None = None,
) -> tuple[L.LightningModule, str | None]:
    """Train, and write the best and the last checkpoint into the folder.

    Parameters
    ----------
    choice : Choice
        What chooses the best model.
    subset : Subset, optional
        The subset that the work was loaded with.
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
    module, datamodule = work.learner.module(work.data.schema, work.context), work.datamodule
    begin_with = subset.begin_with if subset else None
    if begin_with is not None and begin_with.weights:  # further devices are sent those of this process
        work.learner.network(module).load_state_dict(begin_with.weights)
    callbacks = build_callbacks(
        cfg,
        rows=work.row_keys(),
        choice=choice,
        sink=sink,
        folder=folder / CHECKPOINTS,
        on_epoch=on_epoch,
    )
    environment, begun = environment or LocalProcesses(), _Begun()
    trainer = build_trainer(
        cfg.trainer,
        max_epochs=cfg.trainer.max_epochs,
        callbacks=[*work.learner.callbacks(work.context), *callbacks, *extra_callbacks, begun],
        root=folder,
        environment=environment,
        limit_val_batches=1.0 if datamodule.num_examples("val") else 0,  # 0: Lightning skips validation
    )
    _set_threads(cfg, trainer)
    resume = _checkpoint_to_resume(cfg, module=module, work=work, folder=folder)
    order = {
        "config": cfg.model_dump(mode="json"),
        "folder": str(folder),
        "monitor": choice,
        "subset": subset and {"partition_id": subset.partition_id, "indices": subset.indices.tolist()},
        "begin_with": begin_with and {"run_id": begin_with.run_id, "agreed": begin_with.agreed},
    }
    with other_processes(trainer, environment, order):
        try:
            trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
        except SystemExit:  # raised by Lightning on Ctrl-C
            raise KeyboardInterrupt from None
        except (FedtwinError, OSError):
            raise
        except Exception as error:
            if resume is None or begun.training:
                raise
            # Lightning and torch document no list of what a strange checkpoint makes them raise.
            raise ConfigError(
                f"{resume} cannot be restored ({type(error).__name__}: {error}); to start a new training from "
                f"its weights, set model.weights={resume} instead of resume"
            ) from error
    return module.float(), stop_reason(callbacks)


class _Begun(Callback):
    """Notes that the checkpoint, if any, was restored."""

    training = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning restores before this."""
        self.training = True


def _checkpoint_to_resume(cfg: Config, *, module: L.LightningModule, work: Work, folder: Path) -> Path | None:
    if cfg.resume is None:
        return None
    path = Path(cfg.resume).expanduser().absolute()
    own = path == folder / CHECKPOINTS / path.name
    # Of its own only the test may be missing.
    check_resume(cfg, path, module=module, rows=work.row_keys(), allow_done=own)
    return path


def _set_threads(cfg: Config, trainer: L.Trainer) -> None:
    if cfg.trainer.num_threads:
        torch.set_num_threads(cfg.trainer.num_threads)
    elif trainer.num_devices > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // trainer.num_devices))
    elif cfg.model.name == "cnn":
        torch.set_num_threads(1)  # its layers are too small for several threads
