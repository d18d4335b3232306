"""`read_state`: the weights of the model that a run chose, from its checkpoint."""

from __future__ import annotations

from torch import Tensor

from federated.server.checkpoint import load_checkpoint
from fedtwin.records import Run
from shared.model.weights import read_file
from shared.runtime.errors import TrackingError

_NETWORK = "network."  # what the keys of a Lightning checkpoint begin with


def read_state(run: Run) -> dict[str, Tensor]:
    """Read the weights of the network.

    Returns
    -------
    dict of str to Tensor
        On the CPU.

    Raises
    ------
    TrackingError
        The run is a comparison, or has no model yet.
    FedtwinError
        The file is missing or damaged.
    """
    if run.mode == "compare":
        twins = run.row.summary.get("twins") or {}
        ids = ", ".join(str(run_id) for kind in ("pooled", "federated") for run_id in twins.get(kind, []))
        raise TrackingError(
            f"run {run.id} is a comparison and has no model of its own; choose one of its runs: {ids}"
        )
    kind = "safetensors" if run.mode == "federated" else "ckpt"
    path = run.folder / "checkpoints" / f"{run.config['trainer']['test_model']}.{kind}"
    if not path.is_file() or "classes" not in run.row.summary:
        raise TrackingError(f"run {run.id} ({run.status}) has no model: there is no {path}")
    if run.mode == "federated":
        return load_checkpoint(path)[0]
    state = read_file(path)["state_dict"]
    return {key.removeprefix(_NETWORK): value for key, value in state.items() if key.startswith(_NETWORK)}
