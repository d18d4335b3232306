"""`read_images`: images to predict on, from files, folders, ZIPs and arrays, as those that were trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.config.data import ImageDataConfig
from shared.data.pixels.decode import decode_image, resize_image
from shared.data.pixels.files import IMAGE_SUFFIXES, FileTree, FolderTree, ZipTree, open_reader
from shared.runtime.errors import DataError, ImageDecodeError, bullet_list

Pixels = npt.NDArray[np.uint8]
Named = tuple[str, Pixels]  # a name for people, and [C, H, W]


def read_path(path: Path, *, cfg: ImageDataConfig) -> Iterator[Named]:
    """Decode an image file, or every image below a folder or in a ZIP.

    Parameters
    ----------
    path : Path
        In folders and ZIPs, files are images by their suffix; a ``metadata.csv`` and the like are not read.

    Yields
    ------
    str and ndarray [C, H, W], uint8
        In the order of the names.

    Raises
    ------
    DataError
        There is nothing, or no image; after the last image, all that could not be decoded.
    """
    path = path.expanduser().absolute()
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    bad = []
    if path.is_dir() or path.suffix.lower() == ".zip":
        root, names = path, _image_names(path, cfg)
    else:
        root, names = path.parent, {path.name: path.name}
    with open_reader(root) as read:
        for name, real in names.items():
            try:
                yield name, decode_image(read(real), size=cfg.image_size, channels=cfg.channels)
            except Exception as error:  # a damaged entry raises nearly anything
                bad.append(f"{name!r} cannot be decoded: {error}")
    if bad:
        raise ImageDecodeError(f"{len(bad)} of {len(names)} images cannot be used:\n{bullet_list(bad)}")


def from_array(images: Any, *, cfg: ImageDataConfig) -> Pixels:
    """Bring images that are in memory to the size and the channels that a model takes.

    Parameters
    ----------
    images : ndarray or Tensor, uint8
        [N, H, W], [N, C, H, W] or [N, H, W, C].

    Returns
    -------
    ndarray [N, C, H, W], uint8

    Raises
    ------
    DataError
        Another type or shape.
    """
    array = np.asarray(images)
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1] not in (1, 3):
        raise DataError(
            "expected images of type uint8 (0 to 255) and shape [N, H, W], [N, C, H, W] or [N, H, W, C] with 1 "
            f"or 3 channels, got {array.dtype} and {list(np.shape(images))}"
        )
    if array.shape[1:] == (cfg.channels, cfg.image_size, cfg.image_size):
        return array
    return np.stack([from_picture(_picture(image), cfg=cfg) for image in array])


def from_picture(image: Image.Image, *, cfg: ImageDataConfig) -> Pixels:
    """Bring one of Pillow's images to the size and the channels that a model takes.

    Returns
    -------
    ndarray [C, H, W], uint8

    Raises
    ------
    DataError
        Its pixels are floating-point numbers.
    """
    try:
        return resize_image(image, size=cfg.image_size, channels=cfg.channels)
    except ValueError as error:
        raise DataError(str(error)) from None


def _picture(image: Pixels) -> Image.Image:
    return Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def _image_names(path: Path, cfg: ImageDataConfig) -> dict[str, str]:
    tree: FileTree = FolderTree(path)
    if not path.is_dir():
        tree = ZipTree(path, cfg.max_archive_files, cfg.max_archive_bytes, cfg.max_archive_ratio)
    files = tree.files()
    names = {name: files[name] for name in sorted(files) if name.lower().endswith(IMAGE_SUFFIXES)}
    if not names:
        raise DataError(f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)})")
    return names
