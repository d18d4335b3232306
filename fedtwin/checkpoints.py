"""`find_model` and `load_weights`: the checkpoint of the model that a run chose, and its weights."""

from __future__ import annotations

from pathlib import Path

from lightning import LightningModule

from federated.server.checkpoint import load_checkpoint
from fedtwin.records import Run
from shared.model.weights import read_file
from shared.runtime.errors import TrackingError, WeightsError
from shared.tasks.base import Learner


def find_model(run: Run) -> Path:
    """The checkpoint of the model that a run chose.

    Raises
    ------
    TrackingError
        The run is a comparison, or has no model yet.
    """
    if run.row.training_mode == "compare":
        twins = run.row.summary.get("twins") or {}
        ids = ", ".join(str(run_id) for kind in ("pooled", "federated") for run_id in twins.get(kind, []))
        raise TrackingError(
            f"run {run.id} is a comparison and has no model of its own; choose one of its runs: {ids}"
        )
    kind = "safetensors" if run.row.training_mode == "federated" else "ckpt"
    path = run.folder / "checkpoints" / f"{run.config['trainer']['test_model']}.{kind}"
    if not path.is_file() or not {"schema", "classes"} & run.row.summary.keys():
        raise TrackingError(f"run {run.id} ({run.status}) has no model: there is no {path}")
    return path


def load_weights(run: Run, module: LightningModule, *, learner: Learner) -> None:
    """Load the weights of the model that a run chose, in place.

    Raises
    ------
    TrackingError
        As for `find_model`.
    WeightsError
        The weights are not those of this module.
    FedtwinError
        The file is damaged.
    """
    path = find_model(run)
    try:
        if run.row.training_mode == "federated":
            learner.network(module).load_state_dict(load_checkpoint(path)[0])
        else:
            module.load_state_dict(read_file(path)["state_dict"])
    except RuntimeError as error:
        raise WeightsError(f"these weights do not fit the run's settings: {error}") from None
