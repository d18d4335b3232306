"""Image files to pixels: `decode_image` for one, `decode_rows` for many."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from shared.data.pixels.files import open_reader

# Named, because others (EPS, for one) hand a file of unknown origin to outside programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")

Pixels = npt.NDArray[np.uint8]


def decode_image(data: bytes, *, size: int, channels: int) -> Pixels:
    """Decode one image file.

    Parameters
    ----------
    data : bytes
        Content of the file.
    size : int
        Height and width of the result, pixels; resized with antialiasing, the aspect is not kept.
    channels : {1, 3}

    Returns
    -------
    ndarray [C, size, size], uint8

    Raises
    ------
    ValueError
        Says why these bytes are no image.
    """
    if not data:
        raise ValueError("the file is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # broken EXIF and the like, the pixels are fine
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return resize_image(ImageOps.exif_transpose(image), size=size, channels=channels)
    except UnidentifiedImageError:
        raise ValueError(f"not an image ({', '.join(FORMATS)} are read)") from None
    except Exception as error:  # damaged bytes raise nearly anything, from struct.error to IndexError
        raise ValueError(str(error) or type(error).__name__) from None


def resize_image(image: Image.Image, *, size: int, channels: int) -> Pixels:
    """Bring an image of any mode to 8 bit, the channels and the size.

    Parameters
    ----------
    image : PIL.Image.Image
        Transparency is dropped; 16 bit are scaled so that 65535 becomes 255.
    size : int
        Height and width of the result, pixels.
    channels : {1, 3}

    Returns
    -------
    ndarray [C, size, size], uint8

    Raises
    ------
    ValueError
        The pixels are floating-point numbers.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels are not supported, 8 or 16 bit are")
    if image.mode.startswith("I"):
        image = Image.fromarray(np.rint(np.clip(np.asarray(image), 0, 65535) / 257).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)


def decode_rows(root: Path, *, names: Mapping[int, str], out: Path) -> dict[int, str]:
    """Decode files into rows of a ``.npy`` file.

    Parameters
    ----------
    root : Path
        A ZIP or a folder.
    names : mapping of int to str
        The file of each row, by its real name in ``root``.
    out : Path
        A ``.npy`` file [N, C, H, W], uint8, that exists.

    Returns
    -------
    dict of int to str
        Why a row could not be decoded; such a row is left as it was.
    """
    images = np.load(out, mmap_mode="r+")
    _, channels, size, _ = images.shape
    bad = {}
    with open_reader(root) as read:
        for row, name in names.items():
            try:
                data = read(name)
            except Exception as error:  # a damaged entry raises nearly anything, see above
                bad[row] = f"cannot be read: {error}"
                continue
            try:
                images[row] = decode_image(data, size=size, channels=channels)
            except ValueError as error:
                bad[row] = f"cannot be decoded: {error}"
    return bad
