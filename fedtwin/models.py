"""`load_model` and `predict`: the model that a run chose, and what it says about new rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedtwin.places import Place
from fedtwin.records import Run
from fedtwin.registry import find_run

if TYPE_CHECKING:
    from lightning import LightningModule

    from shared.tasks.predictions import Predictions
    from shared.tasks.trained_model import TrainedModel


def load_model(run: int | str | Run, *, store: Place = None) -> TrainedModel | LightningModule:
    """The model that a run chose, with its preprocessing, on the CPU and in evaluation mode.

    Parameters
    ----------
    run : int, str or Run
        Of centralized or federated training; while it is running, its best model so far. Or a version of a
        registered model, see `fedtwin.load_version`.
    store : str or Path, optional
        See `fedtwin.compare`; not needed for a `Run`.

    Returns
    -------
    TrainedModel or LightningModule
        A ``torch.nn.Module``. Of the tasks on images: uint8 images [B, C, H, W] in, probabilities [B, classes]
        or [B, labels] out (``classes`` names the columns), or numbers [B, 1]. Its ``network`` gives logits.
        Of ``task=custom``, and of a task whose learner has no ``trained_model``: the module itself.

    Raises
    ------
    TrackingError
        There is no such run, it is a comparison, or it has no model.
    ConfigError
        Its task is of somebody's own, and may not run here.
    FedtwinError
        Its checkpoint is missing or damaged.

    Examples
    --------
    >>> model = fedtwin.load_model(3)
    >>> model(images).argmax(dim=1)
    """
    run = find_run(run, store=store)
    import shared.runtime.fast_imports  # noqa: F401 - before what it imports

    from fedtwin.checkpoints import find_model, load_weights
    from shared.config.stored import read_snapshot
    from shared.tasks.base import FitContext
    from shared.tasks.task import learner_of, schema_of_run
    from shared.tasks.trained_model import PredictingLearner

    find_model(run)
    # Weights that a training started from are behind it, and their file may be gone.
    cfg = read_snapshot(run.config).replace("model", weights=None).replace("trainer", compile=False)
    learner, schema, summary = learner_of(cfg), schema_of_run(run.row), run.row.summary
    module = learner.module(schema, FitContext(agreed=summary.get("agreed") or {}))
    load_weights(run, module, learner=learner)
    if not isinstance(learner, PredictingLearner):
        return module.eval()
    threshold = summary.get("threshold", cfg.trainer.fixed_threshold)
    return learner.trained_model(module, schema, threshold=threshold)


def load_trees(run: int | str | Run, *, store: Place = None) -> bytes:
    """The trees that a run chose, as a file: see `shared.trees.libraries.export.model_file`.

    Raises
    ------
    ConfigError
        The run's model has no trees.
    FedtwinError
        As for `load_model`.
    """
    run = find_run(run, store=store)
    model = load_model(run)
    from shared.model.trees import TreeNetwork
    from shared.runtime.errors import ConfigError
    from shared.trees.libraries.export import model_file

    network, name = getattr(model, "network", None), str(run.config["model"]["name"])
    if not isinstance(network, TreeNetwork):
        raise ConfigError(
            f"run {run.id} has model.name={name}, and files are written of trees alone; "
            "fedtwin.load_model(run) has its weights"
        )
    return model_file(network.model, name=name)


def predict(run: int | str | Run | TrainedModel, rows: Any, *, store: Place = None) -> Predictions:
    """Predict with the model that a run chose.

    Images are decoded, resized and normalised as those were that the model was trained on.

    Parameters
    ----------
    run : int, str, Run or TrainedModel
        See `load_model`.
    rows : str, Path, ndarray, Tensor, or sequence of str, Path or PIL.Image.Image
        Images: a file, a folder or a ZIP, whose images are all read; several files; images in memory: uint8
        arrays [N, H, W], [N, C, H, W] or [N, H, W, C] of any size, or Pillow's. A task of your own takes what
        its model reads.
    store : str or Path, optional
        See `fedtwin.compare`.

    Returns
    -------
    Predictions
        Its ``answers`` are classes, labels or numbers; ``frame()`` has them with their probabilities.

    Raises
    ------
    DataError
        A row cannot be read (all such are named), or is of another kind.
    ConfigError
        The task reads rows by code of its own alone.
    FedtwinError
        As for `load_model`.

    Examples
    --------
    >>> fedtwin.predict(3, "new_xrays/").frame()
    """
    from shared.runtime.errors import ConfigError
    from shared.tasks.trained_model import TrainedModel

    model = run if isinstance(run, TrainedModel) else load_model(run, store=store)
    if not isinstance(model, TrainedModel):
        raise ConfigError(
            f"how rows become the inputs of {type(model).__name__}, only its own code knows: call "
            f"fedtwin.load_model(run)(inputs), or give its task's learner a trained_model (docs/extending.md)"
        )
    return model.predict(rows)
