"""MedMNIST by name: class names and addresses from the optional ``medmnist`` package, files from Zenodo."""

from __future__ import annotations

import ast
import hashlib
import http.client
import shutil
import tempfile
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shared.data.cache import locked
from shared.data.progress import progress_bar
from shared.runtime.errors import DataError

_SIZES = (28, 64, 128, 224)
_WAY_OUT = "or give the file itself with data.path=FILE"
_TIMEOUT_S = 60.0  # without a single byte


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


def download(dataset: str, *, folder: Path, image_size: int, progress: bool = False) -> Path:
    """The file of a data set, downloaded if it is not there.

    Parameters
    ----------
    dataset : str
        Such as ``pneumoniamnist``.
    folder : Path
        Takes the file.
    image_size : int
        Pixels; the smallest published size that is not below it is used, else the largest.
    progress : bool
        Draw a bar on stderr.

    Raises
    ------
    DataError
        The package is not installed, does not know the data set, or the download failed.
    """
    size = next((size for size in _SIZES if size >= image_size), _SIZES[-1])
    suffix = "" if size == _SIZES[0] else f"_{size}"
    target = folder / f"{dataset.lower()}{suffix}.npz"
    if target.is_file():
        return target
    known = _package_info()
    if not known:
        raise DataError(
            f'data.dataset={dataset} is found by a package: pip install "fedtwin[medmnist]", {_WAY_OUT}'
        )
    if dataset.lower() not in known:
        raise DataError(f"data.dataset={dataset} is none of {', '.join(sorted(known))}")
    info = known[dataset.lower()]
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent, "medmnist"):
        if not target.is_file():
            fetch(info[f"url{suffix}"], md5=info[f"MD5{suffix}"], target=target, progress=progress)
    return target


def fetch(url: str, *, md5: str, target: Path, progress: bool = False) -> None:
    """Download a file; it is whole and has the checksum, or it is not there.

    Parameters
    ----------
    md5 : str
        Hex.
    target : Path
        In a folder in which nobody else downloads at the same time.
    progress : bool
        Draw a bar on stderr.

    Raises
    ------
    DataError
        The server cannot be reached, or sends something else.
    """
    for stale in target.parent.glob("download-*"):  # of a process that was killed
        shutil.rmtree(stale, ignore_errors=True)
    request = urllib.request.Request(url, headers={"User-Agent": "fedtwin"})
    checksum = hashlib.md5(usedforsecurity=False)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="download-") as temporary:
        part = Path(temporary) / target.name
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply, part.open("wb") as file:
                total = int(reply.headers.get("Content-Length") or 0) or None
                with progress_bar(f"downloading {target.name} (bytes)", total=total, show=progress) as advance:
                    while block := reply.read(2**20):
                        file.write(block)
                        checksum.update(block)
                        advance(len(block))
        except (OSError, http.client.HTTPException) as error:
            raise DataError(f"{url} could not be downloaded: {error}; try again, {_WAY_OUT}") from None
        if checksum.hexdigest() != md5:
            raise DataError(f"{url} has not the MD5 {md5} that is expected; try again, {_WAY_OUT}")
        part.replace(target)


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
