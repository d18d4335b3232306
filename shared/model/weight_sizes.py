"""`check_size`: what a weights file declares, looked up in its headers before anything of it is read."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path

from shared.runtime.errors import WeightsError

_LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
_MOST_PICKLE = 64 * 2**20  # bytes of a checkpoint's pickle, which holds names and numbers and no arrays
_BITS = {"F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16}


def check_size(path: Path) -> None:
    """Check that a weights file holds what it declares.

    Tensors of a checkpoint are stored as they are: an archive that expands is none of torch's.

    Parameters
    ----------
    path : Path
        ``.safetensors``, or any other suffix for what torch writes.

    Raises
    ------
    WeightsError
        It declares more than it has.
    """
    size = path.stat().st_size
    if path.suffix == ".safetensors":
        _check_safetensors(path, size)
    elif zipfile.is_zipfile(path):
        _check_archive(path, size)
    elif size > _MOST_PICKLE * 64:
        raise WeightsError(f"{path} has {size} bytes and is no archive as torch writes; save it anew")


def _check_safetensors(path: Path, size: int) -> None:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size - 8, _LONGEST_HEADER):
            return  # no safetensors: its own reader says so, and reads no further
        try:
            header = json.loads(file.read(length))
            declared = sum(
                math.prod(entry["shape"]) * _BITS.get(entry["dtype"], 8) // 8
                for name, entry in header.items()
                if name != "__metadata__"
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return  # damaged: safetensors says so
    if declared > size:
        raise WeightsError(
            f"{path} cannot be read as weights: it declares {declared} bytes of tensors and has {size}"
        )


def _check_archive(path: Path, size: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception:  # damaged: torch says so
        return
    expanded = sum(entry.file_size for entry in entries)
    if expanded > size:
        raise WeightsError(
            f"{path} has {size} bytes and declares {expanded} expanded; torch stores tensors as they are, so "
            "this is not a checkpoint that it wrote (save it anew, or as .safetensors)"
        )
    large = max((entry.file_size for entry in entries if entry.filename.endswith(".pkl")), default=0)
    if large > _MOST_PICKLE:
        raise WeightsError(f"{path} holds a pickle of {large} bytes, {_MOST_PICKLE} are allowed")
