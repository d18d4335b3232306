"""MedMNIST by name: class names and downloads of the optional ``medmnist`` package."""

from __future__ import annotations

import ast
import contextlib
import importlib
import shutil
import sys
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shared.data.cache import locked
from shared.errors import DataError

_SIZES = (28, 64, 128, 224)
_WAY_OUT = "or give the file itself with data.path=FILE"


def class_names(dataset: str) -> tuple[str, ...] | None:
    """Names of a data set's classes.

    Parameters
    ----------
    dataset : str
        Such as ``pneumoniamnist``.

    Returns
    -------
    tuple of str or None
        None if the package is not installed or does not know the data set.
    """
    info = _package_info().get(dataset.lower())
    return tuple(info["label"][str(number)] for number in range(len(info["label"]))) if info else None


def download(dataset: str, *, folder: Path, image_size: int) -> Path:
    """The file of a data set, downloaded if it is not there.

    Parameters
    ----------
    dataset : str
        Such as ``pneumoniamnist``.
    folder : Path
        Takes the file.
    image_size : int
        Pixels; the smallest published size that is not below it is used, else the largest.

    Returns
    -------
    Path

    Raises
    ------
    DataError
        The package is not installed, does not know the data set, or the download failed.
    """
    size = next((size for size in _SIZES if size >= image_size), _SIZES[-1])
    name = f"{dataset.lower()}.npz" if size == _SIZES[0] else f"{dataset.lower()}_{size}.npz"
    target = folder / name
    if target.is_file():
        return target
    known = _package_info()
    if not known:
        raise DataError(
            f'data.dataset={dataset} is downloaded by a package: pip install "fedtwin[medmnist]", {_WAY_OUT}'
        )
    if dataset.lower() not in known:
        raise DataError(f"data.dataset={dataset} is none of {', '.join(sorted(known))}")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent, "medmnist"):
        if target.is_file():
            return target
        for stale in folder.glob("download-*"):  # of a process that was killed
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as temporary:
            _fetch(known[dataset.lower()]["python_class"], size, temporary)
            (Path(temporary) / name).replace(target)
    return target


def _fetch(class_name: str, size: int, root: str) -> None:
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            package = importlib.import_module("medmnist")
            getattr(package, class_name)(split="val", download=True, root=root, size=size)
    except Exception as error:  # whatever the package, its downloader or the network raises
        cause = error.__context__ or error  # the package replaces the cause by a page of advice
        raise DataError(f"{class_name} could not be downloaded: {cause}; try again, {_WAY_OUT}") from None


def _package_info() -> dict[str, Any]:
    # Read, not imported: the package imports torch and makes a folder in the user's home.
    try:
        spec = find_spec("medmnist")
    except ValueError:
        return {}
    if spec is None or spec.origin is None:
        return {}
    tree = ast.parse(Path(spec.origin).with_name("info.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INFO":
            info = ast.literal_eval(node.value)
            return {name: entry for name, entry in info.items() if "3d" not in name}
    return {}
