"""Protocols: `TaskSpec` says what is measured and shown of a task, a `Learner` trains it in a `FitContext`.

This module and every spec import no torch: service and comparison read specs, only training processes make
learners.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from shared.metrics.judge import Judge

if TYPE_CHECKING:
    import numpy as np
    from lightning import LightningModule
    from lightning.pytorch.callbacks import Callback
    from numpy.typing import NDArray
    from torch import nn

    from shared.config.trainer import TrainerConfig
    from shared.data.dataset import Dataset
    from shared.data.profile import Profile
    from shared.data.schema import Schema
    from shared.metrics.outputs import Outputs
    from shared.tasks.panels import Panel

    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FitContext:
    """Whose rows a fit trains on, and which part of the whole training it is.

    Attributes
    ----------
    partition_id : int
        Enters, with the run's seed and the epoch, every draw of the fit: order, dropout, augmentation.
    total_epochs : int or None
        Length of the whole training, over which the learning rate moves; None: this fit is the whole training.
    epoch_offset : int
        Epochs of it that came before this fit.
    parts : int
        Epochs that share one pass over the rows.
    lr_scale : float
        Factor on the learning rate, of a plateau that the server has seen.
    agreed : mapping
        From `TaskSpec.agree`: alike for all clients, and for the pooled twin.
    """

    partition_id: int = 0
    total_epochs: int | None = None
    epoch_offset: int = 0
    parts: int = 1
    lr_scale: float = 1.0
    agreed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_federated(self) -> bool:
        """Whether it is one fit of many."""
        return self.total_epochs is not None


class TaskSpec(Judge, Protocol):
    """What is measured, told and shown of a task on rows of one schema."""

    @property
    def client_metric(self) -> str:
        """The metric by which clients are compared, and that progress is shown in beside the loss."""
        ...

    @property
    def monitor(self) -> str:
        """The metric key, such as ``val/loss``, that chooses the best model by default."""
        ...

    def check_settings(self, trainer: TrainerConfig) -> None:
        """Reject settings of the training that the task cannot follow.

        Raises
        ------
        ConfigError
        """
        ...

    def undefined(self, name: str, profile: Profile, *, stage: str) -> str | None:
        """Why a metric is not defined on the rows of a stage, which have a profile; None where it is."""
        ...

    def profile(self, data: Dataset, rows: Ints) -> Profile:
        """What a client may say of some of its rows."""
        ...

    def check_profile(self, profile: Profile, *, num_examples: int) -> None:
        """Check what a client says of its training rows; any part of it may be empty.

        Raises
        ------
        ReplyRejected
            It cannot be true.
        """
        ...

    def agree(self, profiles: Mapping[str, Profile], *, trainer: TrainerConfig) -> dict[str, Any]:
        """What every fit must know of all training rows together, such as the weights of classes.

        Parameters
        ----------
        profiles : mapping of str to Profile
            Of the clients by name, or of the pooled rows.

        Returns
        -------
        dict
            In JSON's types; part of every `FitContext`.

        Raises
        ------
        FederationError
            A client keeps to itself what is needed.
        """
        ...

    def panels(self, outputs: Outputs) -> list[Panel]:
        """What is drawn of a tested model."""
        ...


class Learner(Protocol):
    """Makes and runs what trains: data, batches, modules. One configuration, any number of fits."""

    def spec(self, schema: Schema) -> TaskSpec:
        """What is measured, told and shown on rows of a schema."""
        ...

    def dataset(self, *, cache: Path, sides: Sequence[str] = ..., progress: bool = False) -> Dataset:
        """Read the configured data, and split it.

        Parameters
        ----------
        cache : Path
            The only place that is written to.
        sides : sequence of str
            What the rows are for, see `shared.data.split.split.make_splits`.
        progress : bool
            Draw a bar on stderr.

        Raises
        ------
        DataError
        """
        ...

    def datamodule(self, data: Any, rows: Ints | None, fit: FitContext) -> CountingDataModule:
        """The batches of all rows, or of a client's.

        Parameters
        ----------
        data : Dataset
            From `dataset`.
        rows : ndarray [n], int64, or None
            Of one client; None: all.
        """
        ...

    def module(self, schema: Schema, fit: FitContext) -> LightningModule:
        """A new module with its initial weights.

        Raises
        ------
        ConfigError, WeightsError
        """
        ...

    def begin_fit(self, module: Any, fit: FitContext) -> LightningModule:
        """The module for the next fit: the same one, made ready, or a new one; weights are loaded after."""
        ...

    def callbacks(self, fit: FitContext) -> Sequence[Callback]:
        """Lightning callbacks of every fit, called before all others."""
        ...

    def network(self, module: Any) -> nn.Module:
        """The part of a module whose weights and buffers are the model: what travels, and what is stored."""
        ...

    def predict(self, module: Any, datamodule: Any, stage: str) -> Outputs:
        """Evaluate a module on a stage, never augmented; its mode and device are restored after."""
        ...


class CountingDataModule(Protocol):
    """A LightningDataModule that knows how many rows a stage has."""

    def num_examples(self, stage: str) -> int:
        """Rows of a stage; of training, those of the first epoch of the fit.

        Parameters
        ----------
        stage : {"train", "val", "test"}
        """
        ...
