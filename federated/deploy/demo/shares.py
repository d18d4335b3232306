"""Writes shares of a data set as data sets of their own, as sites would hold them."""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.data.images.dataset import ImageData
from shared.data.sources.metadata_csv import IMAGES, NAME


def write_share(data: ImageData, *, rows: npt.NDArray[np.int64], path: Path, site: str) -> Path:
    """Write some rows as a folder, or as a ZIP where the path ends so, with ``metadata.csv`` and PNG images.

    Parameters
    ----------
    rows : ndarray [n], int64
        In the order in which they are to be.
    site : str
        Goes into the column of that name.

    Returns
    -------
    Path
        The same. Read again at the same size, it gives the same pixels, labels and splits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in _files(data, rows, site):
                archive.writestr(name, content)
        return path
    shutil.rmtree(path, ignore_errors=True)
    (path / IMAGES).mkdir(parents=True)
    for name, content in _files(data, rows, site):
        (path / name).write_bytes(content)
    return path


def _files(data: ImageData, rows: npt.NDArray[np.int64], site: str) -> Iterator[tuple[str, bytes]]:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["filename", "label", "split", "site", *(["patient_id"] if data.groups is not None else [])])
    for row in rows.tolist():
        name = f"{row:06d}.png"
        patient = [f"p{data.groups.numbers[row]}"] if data.groups is not None else []
        table.writerow([name, data.schema.classes[data.targets[row]], data.splits[row], site, *patient])
        buffer = io.BytesIO()
        pixels = np.array(data.images[row])
        Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(buffer, "PNG")
        yield f"{IMAGES}/{name}", buffer.getvalue()
    yield NAME, text.getvalue().encode()
