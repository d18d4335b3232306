"""`Samples`: what an image file stores, before anything is scaled; `read_picture` reads all but DICOM."""

from __future__ import annotations

import io
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from shared.data.pixels.levels import Levels, PixelRules, kind_of

# Named, because others (EPS, for one) hand a file of unknown origin to outside programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_BITS, _PHOTOMETRIC, _PLANES, _FORMAT = 258, 262, 284, 339  # tags of TIFF
_LOWEST, _HIGHEST, _SUBFILE = 340, 341, 254
_WHITE_IS_ZERO = 0
_MOST_FRAMES = 64  # that are counted; a pyramid of copies has about ten
_MODE_BYTES = {
    "I": 4,
    "F": 4,
    **dict.fromkeys(("RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"), 3),
}
_DEEP_COLOUR = {  # how Pillow unpacks 16-bit samples, and how to have the high and the low bytes instead
    "RGB;16": ("RGB", "RGB;16{}"),
    "RGBA;16": ("RGBA", "RGBA;16{}"),
    "RGBX;16": ("RGB", "RGBX;16{}"),
}


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What a file stores: a picture of 8 bits, or values of more.

    Attributes
    ----------
    picture : PIL.Image.Image or None
        Of 8 bits, of any of Pillow's modes; its transparency is its own.
    values : ndarray [H, W] or [H, W, 3], or None
        Deeper values.
    kind : str
        See `shared.data.pixels.levels.kind_of`.
    stated : tuple of float, optional
        The values of black and white, where the file says them.
    window : bool
        Whether these are a window of DICOM, beyond which values lie on purpose.
    inverted : bool
        Whether the smallest of the values is white.
    opacity : ndarray [H, W], uint8, optional
        Of deeper values that are transparent in places; 255 is opaque.
    patient : bytes
        Identifies the patient in this file's data set, and nowhere else; empty if the file does not.
    """

    picture: Image.Image | None = None
    values: npt.NDArray[Any] | None = None
    kind: str = "uint8"
    stated: Levels | None = None
    window: bool = False
    inverted: bool = False
    opacity: npt.NDArray[np.uint8] | None = None
    patient: bytes = b""


def read_picture(data: bytes, *, rules: PixelRules, admit: Callable[[int], None] | None = None) -> Samples:
    """Read an image file of one of `FORMATS`.

    Parameters
    ----------
    rules : PixelRules
        Its limits are checked before anything is decoded.
    admit : callable, optional
        See `shared.data.pixels.decode.decode_image`.

    Raises
    ------
    ValueError
        Says why these bytes are no image, or none that is read without a guess.
    """
    try:
        with _limit(rules.max_pixels), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # broken EXIF and the like, the pixels are fine
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with _opened(data) as image:
                size = rules.check_size(*image.size, pixel_bytes=_pixel_bytes(image))
                _check_frames(image)
                if admit is not None:
                    admit(size)
                return _deep_colour(data, image) or samples_of(
                    image, significant=_significant_bits(data, image), own=True
                )
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        with _limit(None), _opened(data) as image:  # its header alone
            rules.check_size(*image.size, pixel_bytes=1)
        raise ValueError("it has a part with more pixels than data.max_image_pixels allows") from None
    except UnidentifiedImageError:
        if data[:4] in (b"II*\0", b"MM\0*"):
            raise ValueError(
                "a TIFF of a kind that is not read: whole numbers of 1 to 16 and of 32 bits, and "
                "floating-point numbers of 32 bits are, grey or RGB"
            ) from None
        raise ValueError(f"not an image ({', '.join(FORMATS)} and DICOM are read)") from None


def samples_of(image: Image.Image, *, significant: int | None = None, own: bool = False) -> Samples:
    """What one of Pillow's images holds.

    Parameters
    ----------
    significant : int, optional
        Bits that matter, as a PNG says.
    own : bool
        Whether the image may be changed, which saves a copy.

    Raises
    ------
    ValueError
        Some of its values are no numbers.
    """
    tags = getattr(image, "tag_v2", {})
    turned = image
    if own:
        ImageOps.exif_transpose(image, in_place=True)
        image.load()
    else:
        turned = ImageOps.exif_transpose(image)
    if image.mode not in ("F", "I") and not image.mode.startswith("I;"):
        return Samples(picture=turned, kind=kind_of(np.uint8, significant))
    values = np.asarray(turned)
    if image.mode == "I" and tags and (_first(tags, _BITS, 32), _first(tags, _FORMAT, 1)) == (32, 1):
        values = values.view(np.uint32)  # which Pillow takes for signed
    elif image.mode == "I" and _first(tags, _BITS, 32) == 16:
        values = values.astype(np.int16)
    elif values.dtype != np.dtype(values.dtype.name):
        values = values.astype(values.dtype.name)  # of the other byte order
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("some of its floating-point values are not finite (NaN or infinite)")
    return Samples(
        values=values,
        kind=kind_of(values.dtype, significant),
        stated=_stated(tags),
        inverted=_first(tags, _PHOTOMETRIC, None) == _WHITE_IS_ZERO,
        opacity=_colour_key(image, values),
    )


@contextmanager
def _limit(max_pixels: int | None) -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _check_frames(image: Image.Image) -> None:
    if not getattr(image, "is_animated", False) or image.format == "MPO":  # a camera's JPEG with previews
        return
    frames = _count_frames(image)
    if image.format == "TIFF" and frames <= _MOST_FRAMES:
        copies = 0
        for frame in range(1, frames):
            image.seek(frame)
            copies += bool(_first(image.tag_v2, _SUBFILE, 0) & 0b101)  # type: ignore[attr-defined]
        image.seek(0)
        if copies == frames - 1:  # smaller copies of the first, and masks
            return
    shown = frames if frames <= _MOST_FRAMES else f"more than {_MOST_FRAMES}"
    raise ValueError(f"it holds {shown} images (frames or pages), expected one; save each as a file of its own")


def _count_frames(image: Image.Image) -> int:
    # One more than a limit where there are more: those of GIF and TIFF are found one after the other.
    if image.format not in ("GIF", "TIFF"):
        return int(getattr(image, "n_frames", 1))
    frames = 1
    try:
        while frames <= _MOST_FRAMES:
            image.seek(frames)
            frames += 1
    except EOFError:
        pass
    image.seek(0)
    return frames


def _pixel_bytes(image: Image.Image) -> int:
    # Of the colours of a pixel, as they are decoded.
    deep = 2 if ";16" in _raw_mode(image) and not image.mode.startswith("I") else 1
    return _MODE_BYTES.get(image.mode, 2 if image.mode.startswith("I;16") else 1) * deep


def _stated(tags: Any) -> Levels | None:
    low, high = _first(tags, _LOWEST, None), _first(tags, _HIGHEST, None)
    if high is not None and (low or 0) < high:
        return float(low or 0), float(high)
    bits = _first(tags, _BITS, 16)
    return (0.0, float(2**bits - 1)) if 8 < bits < 16 else None


def _first(tags: Any, tag: int, default: Any) -> Any:
    value = tags.get(tag, default)
    return value[0] if isinstance(value, tuple) and value else value


def _significant_bits(data: bytes, image: Image.Image) -> int | None:
    # Of a PNG's chunk sBIT, which Pillow passes over; None where it says no more than the type does.
    if image.format != "PNG" or image.mode == "P":
        return None
    place, depth = 8, data[24]
    while place + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[place : place + 8])
        if name == b"sBIT":
            bits = max(data[place + 8 : place + 8 + (3 if length > 2 else 1)], default=depth)
            return bits if depth in (8, 16) and 0 < bits < depth else None
        if name in (b"IDAT", b"PLTE"):
            return None
        place += length + 12
    return None


def _deep_colour(data: bytes, image: Image.Image) -> Samples | None:
    # Pillow keeps only the high byte of 16-bit samples in several channels; so these are unpacked twice.
    raw = _raw_mode(image)
    if ";16" not in raw or image.mode.startswith("I"):
        return None
    tags = getattr(image, "tag_v2", {})
    name = raw[: raw.index(";16")]
    if name == "LA":
        whole = np.asarray(_unpacked(image, "RGBA"))
        parts = whole[..., 0::2].astype(np.uint16) << 8 | whole[..., 1::2]
    elif name in ("RGB", "RGBA", "RGBX") and _first(tags, _PLANES, 1) == 1:
        with _opened(data) as other:
            most, least = (_unpacked(one, f"{name};16{order}") for one, order in ((image, "B"), (other, "L")))
        parts = np.asarray(most).astype(np.uint16) << 8 | np.asarray(least)
        if "L" in raw[-1] or (raw.endswith("N") and sys.byteorder == "little"):
            parts = parts.byteswap()
    else:
        raise ValueError("16-bit samples are read of grey, RGB and RGBA images alone")
    colours = parts.shape[2] - (name in ("LA", "RGBA"))
    opacity = np.rint(parts[..., -1] / 257).astype(np.uint8) if colours < parts.shape[2] else None
    values = parts[..., 0] if colours == 1 else parts[..., :3]
    return Samples(
        values=values,
        kind=kind_of(np.uint16, _significant_bits(data, image)),
        stated=_stated(tags),
        opacity=_colour_key(image, values) if opacity is None else opacity,
    )


def _raw_mode(image: Image.Image) -> str:
    args = image.tile[0].args if getattr(image, "tile", None) else ""  # type: ignore[attr-defined]
    return str(args[0] if isinstance(args, tuple) and args else args)


def _unpacked(image: Any, mode: str) -> Image.Image:
    image.tile = [
        tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode)
        for tile in image.tile
    ]
    return ImageOps.exif_transpose(image)


def _colour_key(image: Image.Image, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8] | None:
    # A PNG's one transparent colour.
    key = image.info.get("transparency")
    if key is None or isinstance(key, bytes):
        return None
    clear = values == np.asarray(key, dtype=values.dtype)
    clear = clear.all(axis=2) if clear.ndim == 3 else clear
    return np.where(clear, 0, 255).astype(np.uint8)
