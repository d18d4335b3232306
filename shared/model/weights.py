"""Starting weights from a local file, never through pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from shared.model.weight_sizes import check_size
from shared.runtime.errors import WeightsError, bullet_list

_HEAD_PREFIX = "fc."
_MOST_EXPANDED = 2**26


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Load a file's weights into a network, in place.

    A head for another number of classes keeps its fresh weights; a first convolution for RGB is summed over its
    input channels for a grey network, which gives the response to a grey image shown as RGB. Counters of
    batches, which files of old versions of torch lack, may be missing: nothing here depends on them.

    Parameters
    ----------
    path : str or Path
        ``.safetensors``, or a file that ``torch.load(weights_only=True)`` accepts: a state_dict, or a
        Lightning checkpoint of ours.

    Raises
    ------
    WeightsError
        The file is not there or not readable without pickle, or its tensors do not fit.
    """
    state = _without_wrapping(read_file(path))
    own = network.state_dict()
    fresh: set[str] = set()
    for key, tensor in list(state.items()):
        if key not in own or tensor.shape == own[key].shape:
            continue
        if key == "conv1.weight" and tensor.ndim == 4 and tensor.shape[1] == 3 and own[key].shape[1] == 1:
            state[key] = tensor.sum(dim=1, keepdim=True)
        if key.startswith(_HEAD_PREFIX):
            fresh.add(key)
            del state[key]
    optional = fresh | {key for key in own if key.endswith("num_batches_tracked")}
    problems = [f"{key} is missing in the file" for key in own if key not in state and key not in optional]
    problems += [f"{key} is not in the network" for key in state if key not in own]
    problems += [
        f"{key}: expected shape {tuple(own[key].shape)}, got {tuple(tensor.shape)}"
        for key, tensor in state.items()
        if key in own and tensor.shape != own[key].shape
    ]
    if problems:
        raise WeightsError(
            f"{path} does not fit this model (see the settings in model=):\n{bullet_list(problems)}"
        )
    network.load_state_dict({**own, **state})


def read_file(path: str | Path) -> dict[str, Any]:
    """The dictionary in a file, read without running any code that the file may hold.

    Parameters
    ----------
    path : str or Path
        ``.safetensors``, or what ``torch.load(weights_only=True)`` accepts.

    Returns
    -------
    dict
        On the CPU.

    Raises
    ------
    WeightsError
        The file is not there, not readable without pickle, or holds something else.
    """
    path = Path(path).expanduser().absolute()
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    check_size(path)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file may hold anything, and torch documents no list of what it then raises
        # Not torch's own text, which advises to read the file in a way that runs code in it.
        raise WeightsError(
            f"{path} cannot be read as weights ({type(error).__name__}); expected .safetensors, or a "
            "checkpoint or state_dict that holds tensors and plain values alone"
        ) from None
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path} must hold a state_dict, got {type(loaded).__name__}")
    if (more := _expanded_bytes(loaded)) > _MOST_EXPANDED:
        raise WeightsError(
            f"{path} declares tensors of {more} bytes more than they have (expanded ones, whose values "
            f"repeat), {_MOST_EXPANDED} are allowed; save them after .contiguous()"
        )
    return loaded


def _expanded_bytes(value: Any) -> int:
    """By how much the tensors anywhere in a value are larger than what is stored of them."""
    if isinstance(value, Tensor):
        return max(0, value.numel() * value.element_size() - value.untyped_storage().nbytes())
    if isinstance(value, dict):
        return sum(map(_expanded_bytes, value.values()))
    return sum(map(_expanded_bytes, value)) if isinstance(value, list | tuple) else 0


def _without_wrapping(loaded: dict[str, Any]) -> dict[str, Tensor]:
    inner = loaded.get("state_dict", loaded)
    named = inner.items() if isinstance(inner, dict) else ()
    state = {str(key).removeprefix("network."): value for key, value in named if isinstance(value, Tensor)}
    for part in ("weight", "bias"):  # torchvision's head is one layer; ours has the dropout before it
        if f"fc.{part}" in state:
            state[f"fc.1.{part}"] = state.pop(f"fc.{part}")
    return state
