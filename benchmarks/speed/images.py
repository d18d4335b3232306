"""The image file of a workload: the given one, or one with repeated rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.speed.workloads import Workload


def data_of(workload: Workload, *, data: Path, folder: Path) -> Path:
    """The file of images of a workload.

    Parameters
    ----------
    data : Path
        In MedMNIST's layout.
    folder : Path
        Takes a file with repeated training rows, if the workload wants more than there are.

    Returns
    -------
    Path
        Absolute.
    """
    if workload.images is None:
        return data.absolute()
    wanted = workload.clients * workload.images
    return repeated(data, rows=wanted, path=folder / f"{workload.name}.npz")


def repeated(data: Path, *, rows: int, path: Path) -> Path:
    """A file with so many training images, which repeat those of another; it stays if it is there.

    Parameters
    ----------
    data : Path
        In MedMNIST's layout.
    path : Path
        Of the file.

    Returns
    -------
    Path
        Absolute.
    """
    if not path.exists():
        with np.load(data) as stored:
            arrays = {name: stored[name] for name in stored.files}
        chosen = np.arange(rows) % len(arrays["train_labels"])
        for name in ("train_images", "train_labels"):
            arrays[name] = arrays[name][chosen]
        np.savez(path, **arrays)
    return path.absolute()
