"""`TreeModule` and `TreeDataModule`: models of trees as a Lightning module, an epoch of which is a tree."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from shared.config.config import Config
from shared.config.model import OF_LIBRARIES, ForestConfig, TreesConfig
from shared.data.arrays import ArrayDataModule
from shared.data.schema import Schema
from shared.metrics.outputs import Outputs
from shared.model.tree_libraries import grower_of
from shared.model.trees import TreeNetwork, features_of, tree_settings
from shared.runtime.errors import ConfigError, FedtwinError
from shared.runtime.seeding import derive_seed
from shared.tasks.base import FitContext
from shared.tasks.checks import reject_settings
from shared.tasks.image_classification.module import LitClassifier
from shared.tasks.image_classification.spec import CLASS_WEIGHTS
from shared.tasks.image_regression.module import LitRegressor
from shared.tasks.tables.growth import LibraryGrowth, start_of
from shared.tasks.tables.running_scores import RunningScores
from shared.tasks.task_module import TaskModule
from shared.tasks.whole_stages import WholeStages
from shared.trees.checkpoint import Checkpoint
from shared.trees.client import ClientTrees
from shared.trees.libraries.rows import TreeRows
from shared.trees.model import TreeEnsemble
from shared.trees.objectives import Mean, Objective, Shares
from shared.trees.server import ServerGrower
from shared.trees.settings import TreeSettings

Floats = npt.NDArray[np.float64]

_CHECKPOINT = "trees"  # of Lightning's checkpoints
_MOST_SEEN = 64  # stages of clients whose scores are kept
_ALL = "all"  # the one client of a pooled training
_MOST_GROWTHS = 32  # clients whose binned rows are kept


class TreeDataModule(WholeStages, ArrayDataModule):  # type: ignore[misc]
    """The rows of a table as they are: trees take all of a stage at once, unscaled, and with their gaps."""

    def tree_inputs(self, stage: str) -> tuple[Any, npt.NDArray[np.int64]]:
        """What the rows of a stage are taken of, [N, columns], and which they are, [n].

        Parameters
        ----------
        stage : {"train", "val", "test"}
        """
        return self.data.inputs, self.rows[stage]

    def tree_targets(self, stage: str) -> npt.NDArray[Any]:
        """What trees predict of these rows, [n]."""
        rows = self.rows[stage]
        found: npt.NDArray[Any] = self.data.targets[rows].reshape(len(rows))
        return found


class TreeModule(TaskModule):
    """Grows a tree in each epoch; stands in front of the module of a task, whose loss and measures it keeps."""

    minimal_loop = False
    grows = True  # its state dict has other shapes when it has been trained
    network: TreeNetwork

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        reject_settings(
            self.cfg.trainer,
            f"model={self.cfg.model.name}",
            gradient_clip=None,
            ema_decay=None,
            logit_adjustment=0.0,
            label_smoothing=0.0,
            compile=False,
        )
        self.automatic_optimization = False
        self._pooled: tuple[ServerGrower, ClientTrees] | None = None
        self._resume: Checkpoint | None = None
        self._growths: OrderedDict[tuple[Any, ...], LibraryGrowth] = OrderedDict()
        self._grown: tuple[TreeEnsemble, LibraryGrowth, tuple[Any, ...]] | None = None
        self._seen: OrderedDict[tuple[Any, ...], RunningScores] = OrderedDict()

    def training_step(self, batch: int, batch_idx: int) -> None:  # type: ignore[override]
        """Grow a tree, and log what it makes of the training rows."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(self.cfg.model, OF_LIBRARIES):
            model = self.network.model
            if not model.rounds:
                sums = self.growth(datamodule).start_sums()
                self.network.model = replace(model, start=start_of(model.objective, *sums))
            self.grow(datamodule, number=self.trainer.current_epoch)
        else:
            if self._pooled is None:
                self._pooled = self._begin(datamodule)
            server, client = self._pooled
            server.grow_round(lambda question: {_ALL: client.answer(question)})
            self.network.model = server.ensemble
        self.optimizers().step()  # type: ignore[union-attr]  # Lightning counts steps
        self._collect(datamodule, "train")
        self._log_epoch("train")

    def validation_step(self, batch: int, batch_idx: int) -> None:  # type: ignore[override]
        """Predict all validation rows."""
        self._collect(self.trainer.datamodule, "val")  # type: ignore[attr-defined]

    def configure_optimizers(self) -> Any:
        """One that does nothing: Lightning counts its steps, and saves no checkpoint where there are none."""
        return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.0)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the next tree begins with."""
        kept = self._pooled[0].checkpoint() if self._pooled else None
        if kept is not None:
            checkpoint[_CHECKPOINT] = {
                name: torch.from_numpy(array.copy()) for name, array in kept.to_arrays().items()
            }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up where a training ended.

        Raises
        ------
        TreesError, FederationError
            The checkpoint is damaged.
        """
        if isinstance(self.cfg.model, OF_LIBRARIES):
            return  # the model says it all
        arrays = checkpoint.get(_CHECKPOINT)
        if not isinstance(arrays, dict):
            raise ConfigError("the checkpoint lacks what its next tree would begin with; train from the start")
        self._resume = Checkpoint.from_arrays({name: tensor.numpy() for name, tensor in arrays.items()})

    def grow(self, datamodule: TreeDataModule, *, number: int, count: int = 1) -> None:
        """Grow trees of another library on the training rows, on top of the model.

        Parameters
        ----------
        number : int
            Of the first of these epochs in the whole training, from 0.
        """
        growth = self.growth(datamodule)
        self.network.model = growth.grow(self.network.model, number=number, count=count)
        self._grown = self.network.model, growth, self._key(datamodule, "train")

    def growth(self, datamodule: TreeDataModule) -> LibraryGrowth:
        """What grows trees on a client's training rows; its rows stay binned from round to round."""
        weights = self._class_weights()
        told = None if weights is None else tuple(weights.tolist())
        key = (*self._key(datamodule, "train"), told)
        if key not in self._growths:
            assert isinstance(self.cfg.model, OF_LIBRARIES)
            (inputs, rows), targets = datamodule.tree_inputs("train"), datamodule.tree_targets("train")
            model = self.network.model
            table = TreeRows(
                np.asarray(inputs[rows]),
                targets,
                features=model.features,
                objective=model.objective,
                weights=None if weights is None else weights[targets],
            )
            # Of pooled training it is the seed itself, so that it grows the library's own forest.
            client = datamodule.partition_id
            seed = derive_seed(self.cfg.seed, client) % 2**32 if client else self.cfg.seed % 2**32
            self._growths[key] = LibraryGrowth(
                table, grower_of(self.cfg.model, table, seed=seed, threads=torch.get_num_threads())
            )
            if len(self._growths) > _MOST_GROWTHS:
                self._growths.popitem(last=False)
        self._growths.move_to_end(key)
        return self._growths[key]

    def _class_weights(self) -> npt.NDArray[np.float64] | None:
        weights = self.fit_context.agreed.get(CLASS_WEIGHTS)
        return None if weights is None else np.asarray(weights, dtype=np.float64)

    def client_trees(self, datamodule: TreeDataModule) -> ClientTrees:
        """A client's half of the training, on its training rows."""
        (inputs, rows), targets = datamodule.tree_inputs("train"), datamodule.tree_targets("train")
        model, weights = self.network.model, self._class_weights()
        return ClientTrees(
            inputs[rows],
            targets,
            features=model.features,
            objective=model.objective,
            weights=None if weights is None else weights[targets],
        )

    def results_of(self, scores: Floats, datamodule: TreeDataModule, stage: str) -> Tensor:
        """What the network gives for the rows of a stage, of raw scores [K, n]."""
        return self.network.results(scores)

    def outputs(self, datamodule: TreeDataModule, stage: str) -> Outputs:
        """Predict the rows of a stage; of a model that has grown, only the new trees are looked at."""
        results = self._results_of(datamodule, stage)
        return Outputs(self.predictions(results.float()).numpy(), self._targets_of(datamodule, stage))

    def _begin(self, datamodule: TreeDataModule) -> tuple[ServerGrower, ClientTrees]:
        model, resume = self.network.model, self._resume
        client = self.client_trees(datamodule)
        if resume is not None:
            client.catch_up(resume.past)
        settings = self.network.settings
        assert settings is not None
        return ServerGrower(model.features, objective=model.objective, settings=settings, resume=resume), client

    def _collect(self, datamodule: TreeDataModule, stage: str) -> None:
        results = self._results_of(datamodule, stage)
        targets = torch.from_numpy(self._targets_of(datamodule, stage))
        self._results.append((results.float(), targets, self.eval_loss(results.float(), targets)[None]))

    @staticmethod
    def _key(datamodule: ArrayDataModule, stage: str) -> tuple[Any, ...]:
        return datamodule.data.fingerprint, datamodule.partition_id, stage, len(datamodule.rows[stage])

    def _results_of(self, datamodule: TreeDataModule, stage: str) -> Tensor:
        key = self._key(datamodule, stage)
        if self._grown is not None and self._grown[0] is self.network.model and self._grown[2] == key:
            return self.results_of(self._grown[1].scores, datamodule, stage)
        if key not in self._seen:
            self._seen[key] = RunningScores(*datamodule.tree_inputs(stage))
            if len(self._seen) > _MOST_SEEN:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return self.results_of(self._seen[key].of(self.network.model), datamodule, stage)

    @staticmethod
    def _targets_of(datamodule: ArrayDataModule, stage: str) -> npt.NDArray[Any]:
        targets: npt.NDArray[Any] = datamodule.data.targets[datamodule.rows[stage]]
        return targets


class TreeClassifier(TreeModule, LitClassifier):
    """Trees of the log-odds of two classes, or of each of several."""


class TreeRegressor(TreeModule, LitRegressor):
    """Trees of a number in its own unit."""

    def begin_fit(self, fit: FitContext) -> None:
        """Make ready for the next fit; trees need no scaled targets."""
        super().begin_fit(fit)
        self.middle, self.half_span, self.loss_unit = 0.0, 1.0, 1.0


def tree_network(cfg: Config, schema: Schema, *, objective: Objective) -> TreeNetwork:
    """The model of trees that is configured, without a tree.

    Parameters
    ----------
    objective : Objective
        Of boosted trees.

    Raises
    ------
    ConfigError
        A category has too many levels, or a setting is out of range.
    """
    if isinstance(cfg.model, ForestConfig):
        objective = Shares(len(schema.classes)) if schema.classes else Mean()
    return TreeNetwork(features_of(schema.inputs), objective=objective, settings=growing(cfg))


def growing(cfg: Config) -> TreeSettings | None:
    """How trees grow by sums; None: another library grows them.

    Raises
    ------
    ConfigError
        A setting is out of range.
    """
    if not isinstance(cfg.model, TreesConfig):
        return None
    try:
        return tree_settings(cfg.model, seed=cfg.seed)
    except FedtwinError as error:
        raise ConfigError(f"model.{error}") from None
