"""The formats in which trained models are exported, and which of them are available here; imports no torch."""

from __future__ import annotations

import importlib.util

SUFFIXES = {
    "pt2": ".pt2",
    "onnx": ".onnx",
    "safetensors": ".safetensors",
    "json": ".json",
    "executorch": ".pte",
}
_PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "executorch": ("executorch",)}
_EXTRAS = {"onnx": "export", "executorch": "executorch"}


def unavailable(format: str) -> str | None:
    """Why a format is not available here; None where it is."""
    missing = [name for name in _PACKAGES.get(format, ()) if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    several = "are" if len(missing) > 1 else "is"
    return (
        f"{format} is not available: {', '.join(missing)} {several} not installed; "
        f"pip install 'fedtwin[{_EXTRAS[format]}]'"
    )
