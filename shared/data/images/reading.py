"""`read_images`: images to predict on, from files, folders, ZIPs and arrays, as those that were trained on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.config.data import ImageDataConfig
from shared.data.pixels.decode import decode_image, decode_picture
from shared.data.pixels.files import IMAGE_SUFFIXES, FileTree, FolderTree, ZipTree, open_reader
from shared.data.pixels.levels import PixelRules
from shared.data.pixels.limits import ReadLimits
from shared.data.pixels.of_arrays import NUMBERS, render_array, type_words
from shared.data.pixels.work import Work, allowed_work, too_much
from shared.data.sources.listing import Listing, is_image, shown_names
from shared.data.sources.masks import find_masks
from shared.runtime.counts import count_of
from shared.runtime.errors import DataError, ImageDecodeError, bullet_list

Pixels = npt.NDArray[np.uint8]
Named = tuple[str, Pixels]  # a name for people, and [C, H, W]


def read_path(path: Path, *, cfg: ImageDataConfig, rules: PixelRules) -> Iterator[Named]:
    """Decode an image file, or every image below a folder or in a ZIP.

    Parameters
    ----------
    path : Path
        In folders and ZIPs, files are images by their suffix, but for masks, which are named on stderr; a
        ``metadata.csv`` and the like are not read.
    rules : PixelRules
        Of the model.

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
    bad: list[str] = []
    if path.is_dir() or path.suffix.lower() == ".zip":
        root, names = path, _image_names(path, cfg)
    else:
        root, names = path.parent, {path.name: path.name}
    work = Work(allowed_work(root, names.values(), rules))
    with open_reader(root) as read:
        for name, real in names.items():
            try:
                yield name, decode_image(read(real), rules=rules, admit=work.admit)[0]
            except Exception as error:  # a damaged entry raises nearly anything
                if work.done > work.allowance:
                    raise too_much(root, work.allowance, rules) from None
                bad.append(f"{name!r} cannot be decoded: {error}")
    if bad:
        raise ImageDecodeError(f"{len(bad)} of {len(names)} images cannot be used:\n{bullet_list(bad)}")


def from_array(images: Any, *, rules: PixelRules) -> Pixels:
    """Bring images that are in memory to the size and the channels that a model takes.

    Parameters
    ----------
    images : ndarray or Tensor, of whole or floating-point numbers
        [N, H, W], [N, C, H, W] or [N, H, W, C]; scaled as those that the model was trained on.

    Returns
    -------
    ndarray [N, C, H, W], uint8

    Raises
    ------
    DataError
        Another type or shape, or values of a kind that the model was trained on none of.
    """
    array = np.asarray(images)
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.dtype.name not in NUMBERS or array.ndim != 4 or array.shape[1] not in (1, 3):
        raise DataError(
            f"expected images of type {', '.join(NUMBERS)} and shape [N, H, W], [N, C, H, W] or [N, H, W, C] "
            f"with 1 or 3 channels, got {type_words(array.dtype)} and {list(np.shape(images))}"
        )
    ready = array.dtype == np.uint8 and array.shape[1:] == (rules.channels, rules.size, rules.size)
    if ready and (rules.levels is None or rules.levels[1] > 255):
        return array
    try:
        return np.stack([render_array(image.transpose(1, 2, 0), rules=rules)[0] for image in array])
    except ValueError as error:
        raise DataError(f"an image cannot be used: {error}") from None


def from_picture(image: Image.Image, *, rules: PixelRules) -> Pixels:
    """Bring one of Pillow's images to the size and the channels that a model takes.

    Returns
    -------
    ndarray [C, H, W], uint8

    Raises
    ------
    DataError
        Its values are of no known range, or no numbers.
    """
    try:
        return decode_picture(image, rules=rules)
    except ValueError as error:
        raise DataError(str(error)) from None


def _image_names(path: Path, cfg: ImageDataConfig) -> dict[str, str]:
    limits = ReadLimits.of(cfg)
    tree: FileTree = FolderTree(path, limits=limits) if path.is_dir() else ZipTree(path, limits)
    files = tree.files()
    images = sorted(filter(is_image, files))
    if not images:
        raise DataError(f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)})")
    masks = find_masks(Listing(images, tree.folders()), "")
    if masks and len(masks) < len(images):
        print(
            f"warning: {path}: {count_of(len(masks), 'file')} beside images/ or called as masks of images: no "
            f"prediction for {shown_names(masks)}; name a file to have one",
            file=sys.stderr,
        )
        images = [name for name in images if name not in set(masks)]
    return {name: files[name] for name in images}
